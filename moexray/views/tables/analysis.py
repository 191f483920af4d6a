"""Tables of an analysis."""

from collections.abc import Callable, Iterator, Mapping

from moexray.formats import MISSING, count, interval, number, p_value, percent, tokens_text
from moexray.studies.analysis import Analysis
from moexray.studies.sections.alternatives import by_choice
from moexray.views.tables.generic import generic_tables
from moexray.views.tables.headline import HEADLINE_SECTIONS, headline
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import choice_text, note_lines

_WIDEST = 6
_READING = (
    "Intervals are 95 %, over prompts, or over groups where there are some. A layer's p-value is adjusted for the "
    "number of layers."
)


def analysis_page(analysis: Analysis) -> Page:
    """Return what was analyzed, the tables, how to read them, and the notes."""
    title, *about = _subject(analysis)
    # What was not asked for is null in the file, with a note there, and no news on a screen.
    grouped = analysis.units is None or analysis.units.design != "independent"
    unasked = {"specifications_p": analysis.specifications is None, "generalisation": not grouped}
    notes = {name: note for name, note in analysis.notes.items() if not unasked.get(name)}
    return Page(title, *about, *analysis_tables(analysis), _READING, *note_lines(notes))


def analysis_tables(analysis: Analysis) -> Iterator[Table]:
    """Yield the headline, then a table of each section that has one of its own; any other section is shown as it is."""
    yield headline(analysis)
    for table in TABLES.values():
        found = table(analysis)
        if found is not None:
            yield found
    for name, section in analysis.sections():
        if name not in _SHOWN and section is not None:
            yield from generic_tables(name, section)


def _subject(analysis: Analysis) -> list[str]:
    """Say what was analyzed: the model and its routers, then the prompts and tokens."""
    header = analysis.signatures
    ks = ", ".join(map(str, sorted(set(header.top_k))))
    experts = header.experts_by_layer or (header.experts,)
    sizes = str(min(experts)) if len(set(experts)) == 1 else f"{min(experts)} to {max(experts)}"
    categories = ", ".join(f"{name} {size:,}" for name, size in header.categories.items())
    weighting = ", by gate mass" if header.by == "mass" else ""
    return [
        f"{header.model or 'unknown model'}: {count(len(header.layers), 'MoE layer')} of {sizes} experts, k = {ks}",
        f"{count(header.prompts, 'prompt')} ({categories}), {tokens_text(header.phase)}{weighting}",
    ]


def similarity_table(analysis: Analysis) -> Table:
    """Mean similarity within each category on the diagonal, and of each two beside it where that fits a screen."""
    found, names = analysis.similarity, list(analysis.signatures.categories)
    if len(names) > _WIDEST:
        rows = [[name, number(found.by_category[name].mean, 3)] for name in names]
        return Table("", ["similarity", Column("within", numeric=True)], rows)
    cells = [
        [found.by_category[row] if row == column else found.by_pair[min(row, column), max(row, column)]
         for column in names]
        for row in names
    ]  # fmt: skip
    rows = [[name, *(number(cell.mean, 3) for cell in row)] for name, row in zip(names, cells, strict=True)]
    return Table("", ["similarity", *(Column(name, numeric=True) for name in names)], rows)


def layer_table(analysis: Analysis) -> Table | None:
    """Similarity, effect size, adjusted p-value, accuracy and load of every layer."""
    if analysis.layers is None:
        return None
    names = ("layer", "within", "across", "d", "95 %", "p", "accuracy", "entropy", "max", "dead")
    loads = analysis.loads or (None,) * len(analysis.layers)
    rows = [
        [
            str(layer.layer),
            number(layer.within, 3),
            number(layer.across, 3),
            number(layer.cohens_d),
            interval(layer.cohens_d_ci),
            p_value(layer.p_value_corrected),
            percent(layer.accuracy),
            *(
                (MISSING,) * 3
                if load is None
                else (number(load.entropy, 3), number(load.max_over_mean), str(load.dead_experts))
            ),
        ]
        for layer, load in zip(analysis.layers, loads, strict=True)
    ]
    return Table("", [Column(name, numeric=True) for name in names], rows)


def specification_table(analysis: Analysis) -> Table | None:
    """Range of the effect size over all specifications that made one choice, choice by choice."""
    found = analysis.specifications
    if not found:
        return None
    numbers = [Column(name, numeric=True) for name in ("number", "lowest d", "median d", "highest d", "p < 0.05")]
    rows = [
        [
            choice_text(row.choice, row.value),
            str(row.specifications),
            *(number(d) for d in (row.least, row.median, row.greatest)),
            str(row.significant),
        ]
        for row in by_choice(found)
    ]
    return Table("", [count(len(found), "specification"), *numbers], rows)


# Tables by the section of the analysis that they show.
TABLES: Mapping[str, Callable[[Analysis], Table | None]] = {
    "similarity": similarity_table,
    "layers": layer_table,
    "specifications": specification_table,
}
_SHOWN = {*HEADLINE_SECTIONS, *TABLES, "load"}
