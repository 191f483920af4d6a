"""Figure `load`: how each layer's selections are spread over its experts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from moexray.studies.analysis import Analysis
from moexray.views.figures.style import (
    COLOURS,
    MATRIX_COLOURS,
    Panels,
    figure_of,
    figure_style,
    missing,
    set_title,
    title_of,
)

# Loads beyond 2³ times the balanced one, or below 2⁻³ times, are drawn in the end colours.
_FARTHEST = 3
_MOST_NAMES = 16


def load(analysis: Analysis, ax: Panels | None = None) -> Panels:
    """Draw each expert's load relative to perfect balance, and beside it the busiest expert of each layer.

    Parameters
    ----------
    analysis
        Its load is drawn; an expert that was never selected is crossed out, and the place of an expert that a layer
        does not have is blank.
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
        left, right = ax or _panels()
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


def _panels() -> Panels:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    return left, right


def _relative(selections: Sequence[Sequence[int]], width: int) -> NDArray[np.float64]:  # (layers, experts)
    """Return loads over their layer's mean; NaN where a layer has no such expert."""
    relative = np.full((len(selections), width), np.nan)
    for row, of_layer in zip(relative, selections, strict=True):
        row[: len(of_layer)] = np.array(of_layer) / np.mean(of_layer)
    return relative


def _matrix(left: Axes, right: Axes, relative: NDArray[np.float64]) -> None:
    doublings = np.log2(np.clip(relative, 2.0**-_FARTHEST, 2.0**_FARTHEST))
    norm = TwoSlopeNorm(0, -_FARTHEST, _FARTHEST)
    image = left.imshow(doublings, cmap=MATRIX_COLOURS, norm=norm, aspect="auto", interpolation="nearest")
    dead = np.argwhere(relative == 0)
    left.scatter(dead[:, 1], dead[:, 0], marker="x", s=14, color="white", linewidths=0.8)
    left.set(xlabel="expert", ylabel="MoE layer (index in the model)")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.spines[:].set_visible(False)
    colours = figure_of(left).colorbar(image, ax=[left, right], location="bottom", aspect=50, pad=0.02)
    colours.set_label("load relative to balance" + (" (× never selected)" if len(dead) else ""))
    colours.ax.xaxis.set_major_formatter(FuncFormatter(lambda doubling, _: f"{2.0**doubling:g}"))
