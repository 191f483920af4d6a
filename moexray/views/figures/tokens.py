"""How alike a token is routed in other prompts, and how much of the separation tokens are, layer by layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from moexray.views.figures.style import COLOURS, figure_of, figure_style, set_title


def draw_tokens(found: Mapping[str, Any], *, title: str, axes: tuple[Axes, Axes] | None = None) -> Figure:
    """Draw the gain of the same-token test above, with its null, and the share of the separation below.

    Parameters
    ----------
    found
        The control of token identity, as an analysis holds it; where one of the two is None its axes stay empty.
    axes
        Where to draw: two axes, above and below; by default a new figure.
    """
    with figure_style():
        upper, lower = axes or Figure(figsize=(5.2, 4.4), layout="constrained").subplots(2, 1, sharex=True)
        set_title(upper, title, own_figure=axes is None)
        if found["same_token"] is not None:
            _gains(upper, found["same_token"]["by_layer"])
        upper.axhline(0, color="0.6", linewidth=0.6)
        upper.set(ylabel="experts in common,\nwithin less across")
        if found["share"] is not None:
            _shares(lower, [one["layer"] for one in found["layers"]], found["share"])
        lower.set(xlabel="MoE layer (index in the model)", ylabel="token identity,\nof the separation")
        lower.yaxis.set_major_formatter(PercentFormatter(1))
        lower.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16, min_n_ticks=1))
        return figure_of(upper)


def _gains(axes: Axes, layers: list[Mapping[str, Any]]) -> None:
    index = [one["layer"] for one in layers]
    low, high = np.array([one["null_ci"] for one in layers]).T
    axes.fill_between(index, low, high, color="0.75", linewidth=0)
    axes.plot(index, [one["gain"] for one in layers], marker="o", markersize=4, color=COLOURS[0])
    axes.annotate("shaded: 95 % of shuffled labels", (1, 1), xycoords="axes fraction", ha="right", va="bottom",
                  color="0.35", fontsize=8)  # fmt: skip


def _shares(axes: Axes, index: list[int], share: Mapping[str, Any]) -> None:
    shares = np.array([np.nan if one is None else one for one in share["by_layer"]])
    axes.plot(index, shares, marker="s", markersize=4, color=COLOURS[1])
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.axhline(share["share"], color="0.35", linewidth=0.8, linestyle="--")
    ends = "" if share["ci"] is None else " [{:.0%}, {:.0%}]".format(*share["ci"])
    axes.annotate(f"dashed: all layers, {share['share']:.0%}{ends}", (1, 1), xycoords="axes fraction", ha="right",
                  va="bottom", color="0.35", fontsize=8)  # fmt: skip
