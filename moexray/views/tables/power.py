"""The table of a power analysis."""

from moexray.formats import count, estimate, interval, number, p_text, percent
from moexray.stats.categories.power import NeededNumber
from moexray.studies.power_result import Pilot, Power
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines


def power_page(power: Power) -> Page:
    """Return what is needed, what it rests on, the curve, and the notes."""
    source = f"Cohen's d = {number(power.effect)}" if power.pilot is None else power.pilot.model or "unknown model"
    title = f"{source}: power by number of {power.varied}"
    return Page(title, needed_table(power), curve_table(power), *note_lines(power.notes))


def needed_table(power: Power) -> Table:
    """Return the number that is needed, and what the pilot says of the difference."""
    rows = [("needed", f"{_needed(power.needed, power)} for a power of {percent(power.target)} at p ≤ {power.level}")]
    if power.needed_if is not None:
        rows += [
            ("if smaller", f"{_needed(power.needed_if.smaller, power)} at the lower end of the difference's interval"),
            ("if larger", f"{_needed(power.needed_if.larger, power)} at the upper end"),
        ]
    rows.append(("held", _held(power)))
    if power.pilot is not None:
        rows += _pilot(power.pilot)
    return Table("", [Column(whole=True), Column()], rows)


def curve_table(power: Power) -> Table:
    """Return the power at each size."""
    columns = [Column(name, numeric=True) for name in (power.varied, "all prompts", "power", "95 %")]
    if power.varied == "prompts" and power.groups is None:
        columns[0] = Column("prompts a category", numeric=True)
    rows = [(f"{one.number:,}", f"{one.prompts:,}", number(one.power), interval(one.ci)) for one in power.curve]
    return Table(f"{power.studies:,} simulated studies of each size", columns, rows)


def _needed(found: NeededNumber, power: Power) -> str:
    if found.number is None:
        return (
            f"more than the {power.curve[-1].number:,} {power.varied} simulated"
            if found.least
            else "no number is enough"
        )
    most = "more" if found.most is None else f"{found.most:,}"
    least = found.number if found.least is None else found.least
    return f"{found.number:,} {power.varied} ({least:,} to {most} by the number of simulated studies)"


def _held(power: Power) -> str:
    parts = [f"{power.categories} categories"]
    crossed = power.pilot is not None and power.pilot.design == "crossed"
    if power.groups is not None:
        parts.append(f"{count(power.groups, 'group')} {'in all' if crossed else 'each'}")
    if power.prompts is not None:
        grouped = power.pilot is not None and power.pilot.design != "independent"
        parts.append(f"{count(power.prompts, 'prompt')} {'of a group and category' if grouped else 'each'}")
    if power.tokens is not None:
        parts.append(f"{count(power.tokens, 'token')} a prompt")
    return ", ".join(parts)


def _pilot(pilot: Pilot) -> list[tuple[str, str]]:
    distance = estimate(pilot.squared_distance, pilot.ci, 4)
    rows = [
        ("pilot", f"{count(pilot.prompts, 'prompt')}; squared distance of means {distance}, {p_text(pilot.p_value)}")
    ]
    if pilot.design != "independent":
        rows.append(("groups", f"{percent(pilot.group_share)} of the variance within categories"))
    return [*rows, ("tokens", f"their number makes {percent(pilot.token_share)} of that variance, if independent")]
