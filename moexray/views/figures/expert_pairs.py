"""Figure `coactivation`: experts of one layer that are selected for the same tokens."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from moexray.studies.layer_coactivation import LEAST_EXPECTED, LayerCoactivation
from moexray.views.figures.relative import relative_bar, relative_image
from moexray.views.figures.style import COLOURS, Panels, figure_style, note_above, set_title, title_of

# Doublings of odds that the colours reach at most.
_MOST = 4
# Rings around the strongest pairs of more experts would cover their neighbours.
_MOST_RINGS = 128


def coactivation(found: LayerCoactivation, ax: Panels | None = None) -> Panels:
    """Draw the odds that a token selects two experts, relative to their loads alone, and the strongest pairs.

    The map is white where loads alone explain how often two experts are selected together. It is grey where they give
    fewer than five tokens, of which chance alone makes large odds, and on the diagonal. The strongest pairs have a ring
    in layers of up to 128 experts, and their names beside the map.

    Parameters
    ----------
    found
        `moexray.studies.layer_coactivation.layer_coactivation` of signatures and a trace, or their co-selections.
    ax
        Two axes, left and right; by default those of a new figure.
    """
    with figure_style():
        left, right = ax or _panels()
        set_title(
            left, title_of(f"Experts selected together, layer {found.layer}", found.signatures), own_figure=ax is None
        )
        shown = np.where(found.expected >= LEAST_EXPECTED, found.odds_ratio, np.nan)
        image = relative_image(left, shown, most=_MOST, aspect="auto")
        if len(found.odds_ratio) <= _MOST_RINGS:
            one, other = ([getattr(pair, name) for pair in found.strongest] for name in ("first", "second"))
            left.scatter(one + other, other + one, s=22, facecolor="none", edgecolor="black", linewidths=0.7)
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        left.set(xlabel="expert", ylabel="expert")
        label = f"odds relative to loads alone\n(grey: < {LEAST_EXPECTED} tokens expected)"
        relative_bar(image, left, shown, label, location="bottom", aspect=35, pad=0.02)
        _strongest(right, found)
        return left, right


def _panels() -> Panels:
    left, right = Figure(figsize=(6.2, 4.4), layout="constrained").subplots(1, 2, width_ratios=(2.4, 1))
    return left, right


def _strongest(axes: Axes, found: LayerCoactivation) -> None:
    if not found.strongest:
        axes.set_axis_off()
        axes.annotate(f"no pair above\nloads alone of\n{LEAST_EXPECTED} tokens or more", (0, 0.5), va="center",
                      xycoords="axes fraction", color="0.35", fontsize=8)  # fmt: skip
        return
    rows = range(len(found.strongest))
    odds = [pair.odds_ratio for pair in found.strongest]
    axes.hlines(rows, 1, odds, color="0.8", linewidth=1)
    axes.plot(odds, rows, linestyle="", marker="o", markersize=4, color=COLOURS[1])
    axes.set_yticks(rows, [f"{pair.first} and {pair.second}" for pair in found.strongest])
    axes.set_ylim(len(found.strongest) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1, max(2.0, max(odds) * 1.25))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("odds ratio")
    note_above(axes, "strongest pairs")
