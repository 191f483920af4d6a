"""Effect size and classifier accuracy, layer by layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from moexray.stats.layers.by_layer import LayerStatistics
from moexray.views.figures.style import COLOURS, figure_of, figure_style, set_title


def draw_layerwise(
    layers: Sequence[LayerStatistics], *, chance: float, title: str, axes: tuple[Axes, Axes] | None = None
) -> Figure:
    """Draw Cohen's d above and accuracy below, with their 95 % intervals, over the layers' indices in the model.

    Parameters
    ----------
    layers
        One entry a layer; a figure that is None leaves a gap.
    chance
        Accuracy of always naming the most frequent category.
    axes
        Where to draw: two axes, above and below; by default a new figure.
    """
    with figure_style():
        upper, lower = axes or Figure(figsize=(5.2, 4.4), layout="constrained").subplots(2, 1, sharex=True)
        index = [layer.layer for layer in layers]
        effects = np.array([np.nan if layer.cohens_d is None else layer.cohens_d for layer in layers])
        accuracies = np.array([np.nan if layer.accuracy is None else layer.accuracy for layer in layers])
        _band(upper, index, [layer.cohens_d_ci for layer in layers], COLOURS[0])
        _band(lower, index, [layer.accuracy_ci for layer in layers], COLOURS[1])
        upper.plot(index, effects, marker="o", markersize=4, color=COLOURS[0])
        upper.axhline(0, color="0.6", linewidth=0.6)
        upper.set(ylabel="effect size (Cohen's d)")
        set_title(upper, title, own_figure=axes is None)
        _mark_peak(upper, index, effects)
        upper.annotate("shaded: 95 % intervals over prompts", (1, 0), xycoords="axes fraction", ha="right",
                       xytext=(0, 3), textcoords="offset points", color="0.35", fontsize=8)  # fmt: skip
        lower.plot(index, accuracies, marker="s", markersize=4, color=COLOURS[1])
        lower.axhline(chance, color="0.35", linewidth=0.8, linestyle="--")
        lower.annotate(f"chance {chance:.0%}", (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                       xytext=(0, 2), textcoords="offset points", color="0.35", fontsize=8)  # fmt: skip
        lower.set(xlabel="MoE layer (index in the model)", ylabel="classifier accuracy", ylim=(0, 1.04))
        lower.yaxis.set_major_formatter(PercentFormatter(1))
        lower.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16, min_n_ticks=1))
        return figure_of(upper)


def _band(axes: Axes, index: Sequence[int], intervals: Sequence[tuple[float, float] | None], colour: str) -> None:
    ends = np.array([(np.nan, np.nan) if interval is None else interval for interval in intervals])
    axes.fill_between(index, ends[:, 0], ends[:, 1], color=colour, alpha=0.18, linewidth=0)


def _mark_peak(axes: Axes, index: Sequence[int], effects: np.ndarray) -> None:
    if np.isnan(effects).all():
        return
    peak = int(np.nanargmax(effects))
    axes.plot(index[peak], effects[peak], marker="o", markersize=10, fillstyle="none", color="black")
    text = f"peak: layer {index[peak]}, d = {effects[peak]:.2f}"
    axes.margins(y=0.2)
    late = peak > len(index) / 2
    axes.annotate(text, (index[peak], effects[peak]), xytext=(-10 if late else 10, 7), textcoords="offset points",
                  ha="right" if late else "left", fontsize=8)  # fmt: skip
