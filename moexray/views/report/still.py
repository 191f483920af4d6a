"""Tables that stand in a section of a page in the place of a picture, before any script."""

from collections.abc import Callable, Mapping

from moexray.formats import percent
from moexray.studies.analysis import Analysis
from moexray.studies.segment_selections import SegmentSelections
from moexray.views.report.forest import control_forests, forest_table
from moexray.views.tables.table import Column, Table


def _controls(analysis: Analysis, _segments: SegmentSelections | None) -> list[Table]:
    return [forest_table(forest) for forest in control_forests(analysis)]


def _segments(_analysis: Analysis, segments: SegmentSelections | None) -> list[Table]:
    """Return the tokens and the selections of each segment, category by category."""
    if segments is None:
        return []
    columns = [Column("category"), *(Column(name, numeric=True) for name in segments.segments)]
    found = (("Tokens", segments.tokens), ("Selections in all layers", segments.selections))
    return [
        Table(
            title,
            columns,
            [
                [name, *(f"{value:,} ({percent(value / max(1, int(row.sum())))})" for value in row.tolist())]
                for name, row in zip(segments.categories, of_segments, strict=True)
            ],
        )
        for title, of_segments in found
    ]


# By the name of the section.
TABLES: Mapping[str, Callable[[Analysis, SegmentSelections | None], list[Table]]] = {
    "controls": _controls,
    "segments": _segments,
}
