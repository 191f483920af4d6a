"""Figure `load`: how each layer's selections are spread over its experts."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from moexray.studies.analysis import Analysis
from moexray.views.figures.style import (
    COLOURS,
    Panels,
    figure_of,
    figure_style,
    missing,
    set_title,
    title_of,
)

# Diverging around a balanced load, and told apart by readers who do not see red and green.
_COLOURS = "RdBu_r"
# The middle of the colours is nearly white, so that a place without an expert has to be grey.
_NO_EXPERT = "0.7"
# Loads beyond 2³ times the balanced one, or below 2⁻³ times, are drawn in the end colours.
_FARTHEST = 3
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
        row[: len(of_layer)] = np.array(of_layer) / np.mean(of_layer)
    return relative


def _matrix(left: Axes, right: Axes, relative: NDArray[np.float64]) -> None:
    doublings = np.log2(np.clip(relative, 2.0**-_FARTHEST, 2.0**_FARTHEST))
    ends = _ends(relative)
    image = left.imshow(
        doublings, cmap=colormaps[_COLOURS].with_extremes(bad=_NO_EXPERT), vmin=-ends, vmax=ends, aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    dead = np.argwhere(relative == 0)
    crossed = len(dead) > 0 and relative.shape[1] <= _MOST_CROSSES
    if crossed:
        left.scatter(dead[:, 1], dead[:, 0], marker="x", s=14, color="white", linewidths=0.8)
    left.set(xlabel="expert", ylabel="MoE layer (index in the model)")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.spines[:].set_visible(False)
    colours = figure_of(left).colorbar(image, ax=[left, right], location="bottom", aspect=50, pad=0.02)
    colours.set_ticks(range(-ends, ends + 1), labels=_multiples(relative, ends))
    marks = ["×: never selected"] * crossed + ["grey: no such expert"] * bool(np.isnan(relative).any())
    colours.set_label("load relative to balance" + (f" ({', '.join(marks)})" if marks else ""))


def _ends(relative: NDArray[np.float64]) -> int:
    """Return how many doublings from balance the colours reach: as far as any load that is not 0, and 3 at most."""
    farthest = np.abs(np.log2(relative[relative > 0])).max(initial=0)
    return int(np.clip(np.ceil(farthest), 1, _FARTHEST))


def _multiples(relative: NDArray[np.float64], ends: int) -> list[str]:
    """Return the labels of the colours; those at the ends say whether some loads are beyond them."""
    low, *inside, high = [f"{2.0**doubling:g}" for doubling in range(-ends, ends + 1)]
    low = f"≤ {low}" if np.nanmin(relative) < 2.0**-ends else low
    high = f"≥ {high}" if np.nanmax(relative) > 2.0**ends else high
    return [low, *inside, high]
