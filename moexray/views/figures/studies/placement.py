"""The trade-off of placements: how even loads are, against the devices that a token touches."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.formats import count, tokens_text
from moexray.studies.placement_results import PlacementStudy
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.studies.placement_kinds import draw_kinds, rows_high
from moexray.views.figures.style import COLOURS, MARKERS, figure_of, figure_style, note_above, set_title, shown_name


def placement(result: PlacementStudy, ax: Axes | None = None) -> Axes:
    """Draw a mark for each placement: balancedness below, devices touched beside, with their intervals.

    Where tokens are of several kinds, a new figure has a second panel, that of `placement_kinds`.

    Parameters
    ----------
    result
        Its placements are drawn; random ones as their mean and the range of the draws.
    ax
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If there was no trace.
    """
    drawn = {
        name: (score.balancedness, score.devices_touched)
        for name, score in result.placements.items()
        if score is not None and score.balancedness is not None and score.devices_touched is not None
    }
    if not drawn:
        message = f"no figure of placements: {result.notes.get('trace', 'no placement has devices touched')}"
        raise FigureError(message)
    with figure_style():
        axes = ax or _own_axes(result)
        source = f"{shown_name(result.model or 'unknown model')}, {shown_name(tokens_text(result.tokens))}"
        set_title(
            axes, f"Experts on {count(result.devices, 'device')}: balance against traffic\n{source}",
            own_figure=ax is None,
        )  # fmt: skip
        if result.closed_form is not None:
            axes.axhline(result.closed_form.devices_touched, color="0.6", linewidth=0.6)
        for place, (name, (balance, touched)) in enumerate(drawn.items()):
            ends = [one.ci or one.range or (one.value, one.value) for one in (balance, touched)]
            errors = [
                [[max(one.value - low, 0)], [max(high - one.value, 0)]]
                for one, (low, high) in zip((balance, touched), ends, strict=True)
            ]
            axes.errorbar(
                balance.value, touched.value, xerr=errors[0], yerr=errors[1],
                color=COLOURS[place % len(COLOURS)], marker=MARKERS[place % len(MARKERS)], markersize=5, linewidth=0.9,
                markeredgecolor="0.2", markeredgewidth=0.4,
                linestyle="none", label=shown_name(name.replace("_", " ")),
            )  # fmt: skip
        axes.set(xlabel="balancedness: mean / busiest load (1: even)", ylabel="devices that a token touches")
        note_above(axes, "bars: 95 % intervals, of random 95 % of draws; line: uniform")
        legend_below(axes, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def _own_axes(result: PlacementStudy) -> Axes:
    if result.by_kind is None:
        return Figure(figsize=(5.2, 3.4), layout="constrained").subplots()
    heights = (3.0, rows_high(result))
    figure = Figure(figsize=(6.0, sum(heights)), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    draw_kinds(lower, result, own_figure=True)
    axes: Axes = upper
    return axes
