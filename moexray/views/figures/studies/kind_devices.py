"""The load of the busiest device as the share of one kind of tokens grows."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from moexray.errors import FigureError
from moexray.formats import count
from moexray.studies.kinds_result import KindDevices, Kinds
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import COLOURS, figure_of, figure_style, note_above, set_title, shade, shown_name


def kind_devices(result: Kinds, ax: Axes | None = None) -> Axes:
    """Draw the busiest device's load over the mean, beside uniform and load-matched routing of as many tokens.

    Parameters
    ----------
    result
        Its `devices` are drawn, with their intervals.
    ax
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If the study looked at no devices.
    """
    found = result.devices
    if found is None:
        message = "no figure of devices: the study was made without `devices`"
        raise FigureError(message)
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 3.0), layout="constrained").subplots()
        if ax is None:
            source = f"{shown_name(result.model or 'unknown model')}, {count(sum(result.prompts), 'prompt')}"
            set_title(axes, f"Busiest of {count(found.devices, 'device')}, by kind of token\n{source}", own_figure=True)
        draw_devices(axes, result, found, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def draw_devices(axes: Axes, result: Kinds, found: KindDevices, *, own_figure: bool) -> None:
    """Draw the same on axes of a figure of our own, or of somebody's."""
    shares = [one.share for one in found.mixed]
    loads = [one.busiest for one in found.mixed]
    axes.plot(shares, loads, color=COLOURS[6], marker="o", markersize=3, linewidth=0.9, label="these prompts")
    if any(one.ci is not None for one in found.mixed):
        shade(axes, shares, [one.ci for one in found.mixed], colour=COLOURS[6], alpha=0.15)
        note_above(axes, "shaded: 95 % intervals")
    for name, colour, style in (("matched", COLOURS[2], "--"), ("even", COLOURS[0], ":")):
        label = "by the load of both kinds" if name == "matched" else "uniform routing"
        values = [getattr(one, name) for one in found.mixed]
        if None in values:
            continue
        axes.plot(shares, values, color=colour, linestyle=style, linewidth=1.1, label=label)
    axes.axvline(found.recorded_share, color="0.6", linewidth=0.6, label="share as recorded")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    what = f"share of {shown_name(result.kinds[1])} tokens"
    axes.set(
        xlabel=f"{what}; {count(found.devices, 'device')}, contiguous experts", ylabel="busiest device\n/ mean load"
    )
    legend_below(axes, own_figure=own_figure)
