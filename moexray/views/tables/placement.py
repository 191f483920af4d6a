"""The tables of a study of placements."""

from collections.abc import Callable, Sequence

from moexray.formats import MISSING, count, interval, number, tokens_text
from moexray.studies.placement_results import Drift, Measure, PlacementStudy
from moexray.views.tables.table import Cell, Column, Page, Table
from moexray.views.wording import note_lines

Write = Callable[[float | None], str]
# The most categories whose matrix has room for intervals.
_WITH_INTERVALS = 5


def placement_page(study: PlacementStudy) -> Page:
    """Return loads, traffic, drift and notes."""
    title = f"{study.model or 'unknown model'}, {tokens_text(study.tokens)}: {_layout(study)}"
    learnt = (
        f"learnt on {count(study.learnt, 'prompt')}, scored on {study.scored:,} others; below each value its 95 % "
        f"interval, of random placements the range of {study.draws} draws"
    )
    tables = [loads_table(study)]
    if any(score is not None and score.devices_touched is not None for score in study.placements.values()):
        tables.append(traffic_table(study))
    return Page(title, learnt, *tables, *kind_tables(study), *_drift_tables(study), *note_lines(study.notes))


def loads_table(study: PlacementStudy) -> Table:
    """Return how even loads are, of all tokens and of a batch, and what the busiest device reads."""
    columns: list[tuple[str, str, Write]] = [
        ("balancedness", "balancedness", _three),
        (f"in a batch of {study.batch}", "balancedness_step", _three),
        ("busiest device's experts", "busiest", _two),
    ]
    return _table("Loads: mean of the devices / busiest device", study, columns, expected=())


def traffic_table(study: PlacementStudy) -> Table:
    """Return how far a token's experts are spread, with what uniform routing gives."""
    columns: list[tuple[str, str, Write]] = [("devices touched", "devices_touched", _three)]
    if study.nodes > 1:
        columns.append(("nodes touched", "nodes_touched", _two))
    columns += [("moves", "moves", _two), ("leave home", "remote", _two)]
    return _table("Traffic: where a token's experts are", study, columns, expected=[name for _, name, _ in columns])


def _table(
    title: str, study: PlacementStudy, columns: Sequence[tuple[str, str, Write]], *, expected: Sequence[str]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, score in study.placements.items():
        if score is not None:
            rows.append((name, *(_cell(getattr(score, key), write) for _, key, write in columns)))
    if study.closed_form is not None and expected:
        form = study.closed_form
        rows.append(("uniform routing", *(write(getattr(form, key)) for _, key, write in columns)))
    return Table(
        title, [Column("placement", whole=True), *(Column(head, numeric=True) for head, _, _ in columns)], rows
    )


def kind_tables(study: PlacementStudy) -> list[Table]:
    """Return a table for each measure: a row for each placement and a column for each kind; none without kinds."""
    form = study.closed_form
    uniform = {} if form is None else {"cross_device": form.remote, "sends": form.sends}
    uniform |= {} if form is None else {"devices_touched": form.devices_touched}
    measures = [
        ("Cross-device: tokens that need an expert off the home of their kind", "cross_device"),
        ("Sends: selections whose expert is off the home of their kind", "sends"),
        ("Devices touched, by kind", "devices_touched"),
        ("Balancedness, by kind", "balancedness"),
    ]
    return [
        _kind_table(study, title, key, uniform.get(key))
        for title, key in measures
        for some in [[getattr(score, key) for one in study.by_kind or () for score in one.placements.values() if score]]
        if any(measure is not None for measure in some)
    ]


def _kind_table(study: PlacementStudy, title: str, key: str, uniform: float | None) -> Table:
    kinds = study.by_kind or ()
    write = _two if key == "devices_touched" else _three
    rows: list[tuple[Cell, ...]] = []
    for name in [name for name, score in study.placements.items() if score is not None]:
        scores = [one.placements.get(name) for one in kinds]
        bare = len(kinds) > _WITH_INTERVALS
        rows.append((name, *(MISSING if one is None else _cell(getattr(one, key), write, bare=bare) for one in scores)))
    if uniform is not None:
        rows.append(("uniform routing", *(write(uniform) for _ in kinds)))
    return Table(title, [Column("placement", whole=True), *(Column(one.tokens, numeric=True) for one in kinds)], rows)


def _drift_tables(study: PlacementStudy) -> list[Table]:
    """Return a table for each placement: learnt on the category of the row, scored on that of the column."""
    found = []
    for placement, key, says in (
        ("eplb", "balancedness", "balancedness"),
        ("coactivation", "devices_touched", "devices touched"),
    ):
        some = [one for one in study.drift or () if one.placement == placement and getattr(one, key) is not None]
        if some:
            found.append(_matrix(f"Drift of {placement}: {says}", some, key))
    return found


def _matrix(title: str, drift: Sequence[Drift], key: str) -> Table:
    learnt, scored = (list(dict.fromkeys(getattr(one, side) for one in drift)) for side in ("learnt", "scored"))
    bare = len(scored) > _WITH_INTERVALS
    cells = {(one.learnt, one.scored): _cell(getattr(one, key), _two, bare=bare) for one in drift}
    columns = [Column("learnt on"), *(Column(f"on {name}", numeric=True) for name in scored)]
    rows = [(name, *(cells.get((name, other), MISSING) for other in scored)) for name in learnt]
    return Table(title, columns, rows)


def _cell(measure: Measure | None, write: Write, *, bare: bool = False) -> Cell:
    """Return a value, and below it the interval or the range."""
    if measure is None:
        return MISSING
    ends = "" if bare else interval(measure.ci or measure.range, write=write)
    return (write(measure.value), ends) if ends else write(measure.value)


def _layout(study: PlacementStudy) -> str:
    lowest, highest = min(study.experts), max(study.experts)
    experts = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
    more = f" and {study.redundant} redundant" if study.redundant else ""
    nodes = f" on {study.nodes} nodes" if study.nodes > 1 else ""
    return f"{experts} experts a layer{more} on {count(study.devices, 'device')}{nodes}"


def _two(value: float | None) -> str:
    return number(value, 2)


def _three(value: float | None) -> str:
    return number(value, 3)
