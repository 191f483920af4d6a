"""How each layer's load is spread over its experts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from moexray.stats.layers.load import LayerLoad
from moexray.views.figures.style import COLOURS, MATRIX_COLOURS, figure_of, figure_style, set_title

# Loads beyond these many times the balanced one are drawn in the end colours.
_FARTHEST = 3


def draw_load(
    load: NDArray[np.integer],
    measures: Sequence[LayerLoad],
    layers: Sequence[int],
    *,
    title: str,
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Draw each expert's load relative to perfect balance, and beside it the busiest expert of each layer.

    Parameters
    ----------
    load
        Selections ``(layers, experts)``; an expert without any is crossed out.
    measures
        `moexray.stats.layers.load.layer_loads` of them.
    layers
        The layers' indices in the model.
    """
    with figure_style():
        left, right = axes or Figure(figsize=(6.4, 3.6), layout="constrained").subplots(
            1, 2, sharey=True, width_ratios=(4, 1)
        )
        relative = load / load.mean(axis=1, keepdims=True)
        doublings = np.log2(np.clip(relative, 2.0**-_FARTHEST, 2.0**_FARTHEST))
        norm = TwoSlopeNorm(0, -_FARTHEST, _FARTHEST)
        image = left.imshow(doublings, cmap=MATRIX_COLOURS, norm=norm, aspect="auto", interpolation="nearest")
        dead = np.argwhere(load == 0)
        left.scatter(dead[:, 1], dead[:, 0], marker="x", s=14, color="white", linewidths=0.8)
        left.set(xlabel="expert", ylabel="MoE layer (index in the model)")
        set_title(left, title, own_figure=axes is None)
        rows = range(0, len(layers), -(-len(layers) // 16))
        left.set_yticks(rows, [str(layers[row]) for row in rows])
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.spines[:].set_visible(False)
        colours = figure_of(left).colorbar(image, ax=[left, right], location="bottom", aspect=50, pad=0.02)
        colours.set_label("load relative to balance" + (" (× never selected)" if len(dead) else ""))
        colours.ax.xaxis.set_major_formatter(FuncFormatter(lambda doubling, _: f"{2.0**doubling:g}"))
        right.barh(range(len(layers)), [m.max_over_mean for m in measures], color=COLOURS[0], height=0.7)
        right.axvline(1, color="black", linewidth=0.8, linestyle="--")
        right.tick_params(axis="y", left=False, labelleft=False)
        right.set(xlabel="busiest expert\n(times the mean)")
        return figure_of(left)
