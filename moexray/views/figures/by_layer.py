"""Figure `layerwise`: effect size and classifier accuracy of every layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from moexray.formats import number, percent
from moexray.studies.analysis import Analysis
from moexray.views.figures.style import (
    COLOURS,
    EFFECT_SIZE,
    Panels,
    figure_of,
    figure_style,
    layers_below,
    mark_size,
    missing,
    note_above,
    percent_beside,
    say_not_computed,
    set_title,
    shade,
    title_of,
    two_panels,
)


def layerwise(analysis: Analysis, ax: Panels | None = None) -> Panels:
    """Draw Cohen's d above and classifier accuracy below, with their 95 % intervals, over the layers of the model.

    Parameters
    ----------
    analysis
        Its layers are drawn; a value that is None leaves a gap.
    ax
        Two axes, above and below; by default those of a new figure.

    Raises
    ------
    FigureError
        If no layer has an effect size or an accuracy.
    """
    layers = analysis.layers
    if all(layer.cohens_d is None and layer.accuracy is None for layer in layers):
        raise missing(analysis, figure="layerwise", part="classifier")
    with figure_style():
        upper, lower = ax or two_panels()
        set_title(upper, title_of("Category structure by layer", analysis.signatures), own_figure=ax is None)
        index = [layer.layer for layer in layers]
        effects = np.array([layer.cohens_d for layer in layers], dtype=np.float64)
        highest = _line(
            upper, index, effects, intervals=[layer.cohens_d_ci for layer in layers], colour=COLOURS[0], marker="o"
        )
        upper.axhline(0, color="0.6", linewidth=0.6)
        upper.set(ylabel=EFFECT_SIZE)
        if any(one.cohens_d_ci is not None or one.accuracy_ci is not None for one in layers):
            note_above(upper, "shaded: 95 % intervals")
        _mark_peak(upper, index, effects, highest)
        accuracies = np.array([layer.accuracy for layer in layers], dtype=np.float64)
        _line(
            lower, index, accuracies, intervals=[layer.accuracy_ci for layer in layers], colour=COLOURS[1], marker="s"
        )
        if analysis.classifier is not None:
            lower.axhline(analysis.classifier.chance, color="0.35", linewidth=0.8, linestyle="--")
            note_above(lower, f"dashed: chance, {percent(analysis.classifier.chance)}")
        lower.set(ylabel="classifier accuracy", ylim=(0, 1.04))
        percent_beside(lower)
        sample, prompts = analysis.signatures.sample, analysis.signatures.prompts
        some = sample is not None and sample < prompts
        layers_below(lower, f"accuracy: of {sample:,} of the {prompts:,} prompts, drawn at random" if some else "")
        return upper, lower


def _line(
    axes: Axes,
    index: Sequence[int],
    values: NDArray[np.float64],
    *,
    intervals: Sequence[tuple[float, float] | None],
    colour: str,
    marker: str,
) -> float:
    """Draw values and their intervals, and return the highest of all."""
    shade(axes, index, intervals, colour=colour, alpha=0.18)
    axes.plot(index, values, marker=marker, markersize=mark_size(len(index)), color=colour)
    if np.isnan(values).all():
        say_not_computed(axes)
    drawn = [*values[~np.isnan(values)], *(interval[1] for interval in intervals if interval is not None)]
    return float(max(drawn, default=0.0))


def _mark_peak(axes: Axes, index: Sequence[int], effects: NDArray[np.float64], highest: float) -> None:
    """Circle the greatest effect, and name it above everything that is drawn."""
    if np.isnan(effects).all():
        return
    peak = int(np.nanargmax(effects))
    axes.plot(index[peak], effects[peak], marker="o", markersize=10, fillstyle="none", color="black")
    axes.margins(y=0.2)
    late = 2 * peak > len(index) - 1
    axes.annotate(
        f"peak: layer {index[peak]}, d = {number(float(effects[peak]))}",
        (index[peak], effects[peak]),
        xytext=(index[peak], highest),
        textcoords=offset_copy(axes.transData, figure_of(axes), y=5, units="points"),
        ha="right" if late else "left",
        va="bottom",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkB": 5, "relpos": (int(late), 0)},
    )
