"""Tables of a check of recorded routing."""

from itertools import groupby

from moexray.checks.integrity import Integrity
from moexray.checks.result import Comparison, CountedLayer, LayerRows, RoutingCheck
from moexray.checks.rows import KINDS
from moexray.formats import count, number, percent, runs
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines

_VERDICTS = {
    "true": "true: this is the model's own routing",
    "whole": "whole: rows are those of a router; no model was asked whether they are true",
    "different": "different: this is not the model's own routing",
    "not whole": "not whole: some rows cannot be those of a router",
    "undecided": "undecided: counts differ, as near ties may make them",
    "not compared": "not compared: nothing could be laid beside the model",
}
_MOST_EXPERTS = 8


def check_page(found: RoutingCheck) -> Page:
    """Return the verdict, its cause, what was looked at, rows by phase and layer, the first that differ, and notes."""
    blocks: list[str | Table] = [facts_table(found)]
    if found.integrity.faults:
        blocks.append(fault_table(found.integrity))
    if found.comparison is not None:
        blocks.append(layer_table(found.comparison))
        if found.comparison.different:
            blocks.append(first_table(found.comparison))
    if found.counts is not None:
        blocks.append(count_table(found.counts))
    title = f"{found.recorded.get('model') or 'unknown model'}, {found.source}: is the recorded routing true?"
    return Page(title, *blocks, *note_lines(found.notes))


def facts_table(found: RoutingCheck) -> Table:
    """Return the verdict, what explains it, and what was looked at and compared."""
    rows = [["verdict", _VERDICTS[found.verdict]]]
    if found.diagnosis is not None:
        rows.append(["cause", found.diagnosis.text])
    rows += [["finding", text] for text in found.findings]
    rows.append(["looked at", _looked_at(found.integrity)])
    if found.comparison is not None:
        one = found.comparison
        rows.append(["compared", f"{count(len(one.prompts), 'prompt')}, {count(one.rows, 'row')}{_model(found)}"])
        shares = ", ".join(
            f"{shown} {name}"
            for name, shown in (
                ("equal", f"{one.equal:,} ({percent(one.equal / max(one.rows, 1))})"),
                ("ties", f"{one.ties:,}"),
                ("different", f"{one.different:,}"),
            )
        )
        rows.append(["rows", shares])
        if one.tie is not None and one.tie.greatest is not None:
            gaps = f"gaps of {_gap(one.tie.median)} in the median, {_gap(one.tie.greatest)} at most"
            rows.append(["ties", f"{gaps}, of the spread of scores; rounding explains {_gap(one.tie.limit)}"])
    return Table("", [Column(whole=True), Column()], rows)


def fault_table(found: Integrity) -> Table:
    """Return the rows that no router makes, by phase and layer."""
    rows = []
    for one in found.faults:
        shown = f"{one.rows:,} of {one.of:,}" if one.of else (f"{one.rows:,}" if one.rows else "")
        rows.append([KINDS[one.kind], one.phase or "", runs(one.layers), shown, one.first])
    columns = [Column("fault"), Column("phase", whole=True), Column("layers"), Column("rows", numeric=True)]
    return Table("rows that no router makes", [*columns, Column("first", least=20)], rows)


def layer_table(found: Comparison) -> Table:
    """Return the rows of each layer and phase; layers that follow each other with all rows equal stand together."""
    rows = []
    for is_equal, some in groupby(found.layers, key=lambda one: (one.phase, one.equal == one.rows)):
        of = list(some)
        rows += [_layer_row(of)] if is_equal[1] else [_layer_row([one]) for one in of]
    names = ("rows", "equal", "ties", "different", "share")
    columns = [Column("phase", whole=True), Column("layers"), *(Column(name, numeric=True) for name in names)]
    return Table("rows by phase and layer", columns, rows)


def first_table(found: Comparison) -> Table:
    """Return the first row that differs of the first layers in which one does."""
    rows = [
        [
            str(one.layer),
            f"{one.prompt}, token {one.token} ({one.text!r}, {one.phase})",
            _experts(one.recorded),
            _experts(one.true),
            "none" if one.gap is None else _gap(one.gap),
        ]
        for one in found.first
    ]
    columns = [Column("layer", numeric=True), Column("first row that differs"), Column("recorded"), Column("model")]
    return Table("", [*columns, Column("gap", numeric=True)], rows)


def count_table(found: tuple[CountedLayer, ...]) -> Table:
    """Return the selections of each layer, and how many are other experts' than the model's."""
    rows = [[str(one.layer), f"{one.selections:,}", f"{one.moved:,}"] for one in found]
    columns = [Column(name, numeric=True) for name in ("layer", "selections", "other experts")]
    return Table("counts of the prompts' tokens", columns, rows)


def _looked_at(found: Integrity) -> str:
    rows = f"{count(found.rows, 'row')} of " if found.has_rows else "counts of "
    whole = "" if found.is_whole else f", {count(len(found.faults), 'fault')}"
    return f"{rows}{count(found.prompts, 'prompt')}, {count(found.tokens, 'token')}{whole}"


def _model(found: RoutingCheck) -> str:
    known = found.reference or {}
    facts = ", ".join(str(known[name]) for name in ("dtype", "device") if name in known)
    return f", with {known.get('model', 'the model')} in transformers {known.get('engine_version', '')} ({facts})"


def _layer_row(some: list[LayerRows]) -> list[str]:
    totals = [sum(getattr(one, name) for one in some) for name in ("rows", "equal", "ties", "different")]
    return [
        some[0].phase,
        runs([one.layer for one in some]),
        *(f"{total:,}" for total in totals),
        percent(totals[3] / totals[0]),
    ]


def _experts(ids: tuple[int, ...]) -> str:
    return ", ".join(map(str, ids[:_MOST_EXPERTS])) + (", …" if len(ids) > _MOST_EXPERTS else "")


def _gap(gap: float | None) -> str:
    return "" if gap is None else number(gap, 3) if gap >= 0.001 or gap == 0 else f"{gap:.1e}"
