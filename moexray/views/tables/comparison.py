"""The table of a comparison."""

from collections.abc import Callable

from moexray.formats import MISSING, count, number, p_value, tokens_text
from moexray.studies.comparison import ComparedLayer, Comparison
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines

_MOST_NAMED = 3


def comparison_page(comparison: Comparison) -> Page:
    """Return the two models, the table of layers, and the notes."""
    first, second = (model or "unknown model" for model in comparison.models)
    prompts = "" if comparison.prompts is None else f", {count(comparison.prompts, 'prompt')}"
    if comparison.common:
        prompts += " in both"
    of = "" if comparison.phase in (None, "all") else f", {tokens_text(comparison.phase)}"
    return Page(f"{first} and {second}{prompts}{of}", comparison_table(comparison), *note_lines(comparison.notes or {}))


def comparison_table(comparison: Comparison) -> Table:
    """Return one row for each layer, or for each corpus of each layer; a column that no layer has is left out."""
    there = [
        (column, cell)
        for field, column, cell in _COLUMNS
        if any(getattr(layer, field) is not None for layer in comparison.layers)
    ]
    rows = [[cell(layer) for _, cell in there] for layer in comparison.layers]
    return Table("", [column for column, _ in there], rows)


def _moved(layer: ComparedLayer) -> str:
    named = (layer.moved or ())[:_MOST_NAMED]
    return ", ".join(f"{one.expert} ({number(one.difference, 3, signed=True)})" for one in named) or MISSING


# Each column by the field that it shows.
_COLUMNS: tuple[tuple[str, Column, Callable[[ComparedLayer], str]], ...] = (
    ("layer", Column("layer", numeric=True), lambda layer: str(layer.layer)),
    ("corpus", Column("corpus"), lambda layer: layer.corpus or MISSING),
    ("agreement", Column("agreement", numeric=True), lambda layer: number(layer.agreement, 3)),
    ("similarity", Column("cosine", numeric=True), lambda layer: number(layer.similarity, 4)),
    ("jensen_shannon", Column("JS (bits)", numeric=True), lambda layer: number(layer.jensen_shannon, 4)),
    (
        "jensen_shannon_expected",
        Column("by chance", numeric=True),
        lambda layer: number(layer.jensen_shannon_expected, 4),
    ),
    ("p_value", Column("p", numeric=True), lambda layer: p_value(layer.p_value)),
    ("moved", Column("experts that moved"), _moved),
)
