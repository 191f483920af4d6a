"""The power curve: power by size of study, with its interval."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from moexray.formats import number
from moexray.studies.power_result import Power
from moexray.views.figures.settling import settle
from moexray.views.figures.style import (
    COLOURS,
    figure_of,
    figure_style,
    note_above,
    percent_beside,
    set_title,
    shade,
    shown_name,
)


def power(result: Power, ax: Axes | None = None) -> Axes:
    """Draw power by size of study, the power that is wanted, and the size that has it.

    Parameters
    ----------
    result
        Its curve is drawn, with the 95 % intervals of the simulation.
    ax
        Axes to draw on; by default those of a new figure.
    """
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 3.2), layout="constrained").subplots()
        source = (
            f"Cohen's d = {number(result.effect)}"
            if result.pilot is None
            else shown_name(result.pilot.model or "unknown model")
        )
        set_title(
            axes, f"Power by number of {result.varied}\n{source}, {result.categories} categories", own_figure=ax is None
        )
        numbers = [one.number for one in result.curve]
        shade(axes, numbers, [one.ci for one in result.curve], colour=COLOURS[0], alpha=0.2)
        axes.plot(numbers, [one.power for one in result.curve], color=COLOURS[0], marker="o", markersize=3)
        axes.axhline(result.target, color="0.6", linewidth=0.6)
        if result.needed.number is not None:
            axes.plot([result.needed.number] * 2, [0, result.target], color=COLOURS[1], linestyle="--", linewidth=0.9)
            axes.annotate(f"{result.needed.number:,}", (result.needed.number, 0), xytext=(3, 3),
                          textcoords="offset points", color=COLOURS[1])  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(numbers)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set(xlabel=_size(result), ylabel=f"power at p ≤ {result.level}", ylim=(0, 1.02))
        percent_beside(axes)
        note_above(axes, f"shaded: 95 % intervals of {result.studies:,} simulated studies")
        if ax is None:
            settle(figure_of(axes))
        return axes


def _size(result: Power) -> str:
    if result.varied == "tokens":
        return "tokens of a prompt"
    grouped = result.pilot is not None and result.pilot.design != "independent"
    if result.varied == "prompts":
        return "prompts of a group and category" if grouped else "prompts of a category"
    return "groups" if result.pilot is not None and result.pilot.design == "crossed" else "groups of a category"
