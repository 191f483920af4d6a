"""Tables of a study of kinds of tokens."""

from moexray.formats import MISSING, count, estimate, interval, number, p_text, p_value, percent
from moexray.stats.pairs.summaries import Interval
from moexray.studies.kinds_result import BusiestDevice, KindLoad, Kinds, Shift
from moexray.views.tables.table import Cell, Column, Page, Table
from moexray.views.wording import note_lines

_LONGEST_NAME = 11


def kinds_page(found: Kinds) -> Page:
    """Return MSI with its floor and test, the layers, the load of each kind, another set, and the notes."""
    first, second = found.kinds
    title = f"{found.model or 'unknown model'}, {first} against {second}, {count(sum(found.prompts), 'prompt')}"
    tables = [summary_table(found), layer_table(found), load_table(found), *device_tables(found)]
    if found.shift is not None:
        tables.append(shift_table(found.shift))
    return Page(title, *tables, *note_lines(found.notes))


def summary_table(found: Kinds) -> Table:
    """Return how many prompts and tokens hold each kind, and MSI."""
    first, second = found.kinds
    rows = [
        [f"prompts with {first} and {second} tokens", f"{found.prompts[0]:,}"],
        *(
            [f"prompts with {kind} tokens alone", f"{n:,}"]
            for kind, n in zip(found.kinds, found.prompts[1:], strict=True)
            if n
        ),
        *([f"{kind} tokens", f"{tokens:,}"] for kind, tokens in zip(found.kinds, found.tokens, strict=True)),
        ["MSI of all tokens", number(found.msi, 3)],
        ["share of the kind that the expert tells", percent(found.information_share)],
    ]
    if (apart := found.difference) is not None:
        rows += [
            [f"MSI, each of {apart.units:,} prompts or groups alike", number(apart.msi, 3)],
            [
                "floor: MSI with kinds exchanged",
                f"{number(apart.msi_floor, 3)} (95 % below {number(apart.msi_high, 3)})",
            ],
            ["MSI minus floor", number(apart.msi - apart.msi_floor, 3, signed=True)],
            ["mean loads differ", p_text(apart.p_value)],
        ]
    return Table("", [Column(whole=True), Column(numeric=True)], rows)


def layer_table(found: Kinds) -> Table:
    """Return MSI, the information of an expert and the test, by layer."""
    names = ["layer", "MSI", "I/H"]
    apart = None if found.difference is None else found.difference.layers
    if apart is not None:
        names += ["MSI alike", "floor", "JS", "floor", "corrected", "adjusted p"]
    rows = []
    for place, one in enumerate(found.layers):
        row = [str(one.layer), number(one.msi, 3), percent(one.information_share)]
        if apart is not None:
            own = apart[place]
            row += [number(own.msi, 3), number(own.msi_floor, 3)]
            row += [number(own.jensen_shannon, 3), number(own.jensen_shannon_floor, 3)]
            row += [estimate(own.jensen_shannon_corrected, own.jensen_shannon_ci, 3), p_value(own.adjusted)]
        rows.append(row)
    columns = [Column(name, numeric=True, beside=name == "floor") for name in names]
    return Table("how far apart the kinds are, by layer (JS in bits)", columns, rows)


def load_table(found: Kinds) -> Table:
    """Return the balance of each kind's load by layer, beside uniform and load-matched routing of as many tokens."""
    columns = [Column("layer", numeric=True, key=True), Column("kind", key=True)]
    columns += [Column(name, numeric=True, beside=name in ("even", "both")) for name in _balance_names()]
    rows = [
        [
            str(one.layer),
            _name(kind),
            *(number(value, 3) for value in _beside(load, "entropy")),
            *(number(value, 3) for value in _beside(load, "gini")),
            *(number(value, 2) for value in _beside(load, "max_over_mean")),
            str(load.balance.dead_experts),
        ]
        for one in found.layers
        for kind, load in zip(found.kinds, one.loads, strict=True)
    ]
    return Table("load of each kind; even: uniform routing, both: by the load of both kinds", columns, rows)


def _name(kind: str) -> Cell:
    """Return the name of a kind, below each other where a line has no room for it."""
    phase, slash, rest = kind.partition("/")
    return (f"{phase}/", rest) if slash and len(kind) > _LONGEST_NAME else kind


def _balance_names() -> list[str]:
    return [*(name for one in ("entropy", "Gini", "busiest") for name in (one, "even", "both")), "dead"]


def _beside(load: KindLoad, measure: str) -> list[float | None]:
    """Return a measure of the load, of uniform and of load-matched routing."""
    return [None if one is None else getattr(one, measure) for one in (load.balance, load.even, load.matched)]


def device_tables(found: Kinds) -> list[Table]:
    """Return the busiest device as the share of the second kind grows, and by layer; none without devices."""
    if found.devices is None:
        return []
    devices = found.devices
    mixed = [
        [
            f"{percent(one.share)}{' (recorded)' if one.share == devices.recorded_share else ''}",
            estimate(one.busiest, one.ci),
            number(one.even),
            number(one.matched),
        ]
        for one in devices.mixed
    ]
    names = ("busiest", "even", "both")
    by_layer = [
        [str(layer.layer), *(text for one in both for text in (str(one.device), *map(number, _of_device(one))))]
        for layer, both in zip(found.layers, devices.layers, strict=True)
    ]
    of_kinds = [name for kind in found.kinds for name in (f"{kind}: device", *names)]
    title = f"contiguous experts on {count(devices.devices, 'device')}: the busiest one's load / mean, mean of layers"
    return [
        Table(title, [Column(name, numeric=True) for name in (f"{found.kinds[1]} share", *names)], mixed),
        Table(
            "by layer: the busiest device, and its load / mean",
            [Column(name, numeric=True, beside=name in names) for name in ("layer", *of_kinds)],
            by_layer,
        ),
    ]


def _of_device(one: BusiestDevice) -> tuple[float, float, float | None]:
    return one.busiest, one.even, one.matched


def shift_table(shift: Shift) -> Table:
    """Return how the other set differs, by layer and kind."""
    names = ("JS", "floor", "p", "adjusted", "entropy")
    columns = [Column("layer", numeric=True, key=True), Column("kind", key=True)]
    columns += [Column(name, numeric=True, beside=name == "floor") for name in names]
    columns.append(Column("MSI", numeric=True))
    rows: list[list[Cell]] = []
    layers = range(len(shift.kinds[0].layers))
    for place in layers:
        for kind in shift.kinds:
            one = kind.layers[place]
            first = kind is shift.kinds[0]
            rows.append(
                [
                    str(shift.layers[place]),
                    _name(kind.kind),
                    number(one.jensen_shannon, 3),
                    number(one.jensen_shannon_floor, 3),
                    p_value(one.p_value),
                    p_value(one.adjusted),
                    _above(one.entropy, one.entropy_ci),
                    _msi(shift, place) if first else "",
                ]
            )
    return Table(f"the other set, {count(shift.prompts, 'prompt')}, minus this one (JS in bits)", columns, rows)


def _msi(shift: Shift, place: int) -> Cell:
    if shift.msi is None:
        return MISSING
    return _above(shift.msi.by_layer[place], shift.msi.by_layer_ci[place])


def _above(value: float, ends: Interval | None) -> Cell:
    """Return a change above its interval, so that a table of two of them is no wider than a terminal."""
    return (_signed(value), interval(ends, write=_signed)) if ends is not None else _signed(value)


def _signed(value: float | None) -> str:
    return number(value, 3, signed=True)
