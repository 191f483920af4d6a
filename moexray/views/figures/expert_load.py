"""Figure `load`: how each layer's selections are spread over its experts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from moexray.studies.analysis import Analysis
from moexray.views.figures.relative import relative_bar, relative_image
from moexray.views.figures.style import (
    COLOURS,
    Panels,
    figure_style,
    missing,
    set_title,
    title_of,
)

_MOST_NAMES = 16
# More layers have a higher figure.
_MOST_LOW = 32
# More crosses would cover each other, and the colours.
_MOST_CROSSES = 128


def load(analysis: Analysis, ax: Panels | None = None) -> Panels:
    """Draw each expert's load relative to perfect balance, and beside it the busiest expert of each layer.

    Parameters
    ----------
    analysis
        Its load is drawn, white where it is the balanced one; an expert that was never selected is crossed out, where
        layers have up to 128, and the place of an expert that a layer does not have is grey.
    ax
        Two axes, left and right; by default those of a new figure.

    Raises
    ------
    FigureError
        If the analysis has no load, or was saved before it kept the selections of each expert.
    """
    if analysis.loads is None:
        raise missing(analysis, figure="load", part="load")
    selections = [layer.selections for layer in analysis.loads]
    if None in selections:
        raise missing(analysis, figure="load", part="load")
    relative = _relative([one for one in selections if one is not None], analysis.signatures.experts)
    with figure_style():
        left, right = ax or _panels(len(analysis.loads))
        set_title(left, title_of("Load of every expert", analysis.signatures), own_figure=ax is None)
        _matrix(left, right, relative)
        layers = [layer.layer for layer in analysis.loads]
        rows = range(0, len(layers), -(-len(layers) // _MOST_NAMES))
        left.set_yticks(rows, [str(layers[row]) for row in rows])
        right.barh(range(len(layers)), [one.max_over_mean for one in analysis.loads], color=COLOURS[0], height=0.7)
        right.axvline(1, color="black", linewidth=0.8, linestyle="--")
        right.tick_params(axis="y", left=False, labelleft=False)
        right.set(xlabel="busiest expert\n(times the mean)")
        return left, right


def _panels(layers: int) -> Panels:
    figure = Figure(figsize=(6.4, 3.6 if layers <= _MOST_LOW else 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    return left, right


def _relative(selections: Sequence[Sequence[int]], width: int) -> NDArray[np.float64]:  # (layers, experts)
    """Return loads over their layer's mean; NaN where a layer has no such expert."""
    relative = np.full((len(selections), width), np.nan)
    for row, of_layer in zip(relative, selections, strict=True):
        row[: len(of_layer)] = np.array(of_layer) / (np.mean(of_layer) or 1)  # a layer may have no selection
    return relative


def _matrix(left: Axes, right: Axes, relative: NDArray[np.float64]) -> None:
    image = relative_image(left, relative, aspect="auto")
    dead = np.argwhere(relative == 0)
    crossed = len(dead) > 0 and relative.shape[1] <= _MOST_CROSSES
    if crossed:
        left.scatter(dead[:, 1], dead[:, 0], marker="x", s=14, color="white", linewidths=0.8)
    left.set(xlabel="expert", ylabel="MoE layer (index in the model)")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    marks = ["×: never selected"] * crossed + ["grey: no such expert"] * bool(np.isnan(relative).any())
    label = "load relative to balance" + (f" ({', '.join(marks)})" if marks else "")
    relative_bar(image, [left, right], relative, label, location="bottom", aspect=50, pad=0.02)
