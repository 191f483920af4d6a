"""The bias of every expert between two kinds of tokens, by layer, and how balanced the load of each kind is."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from moexray.formats import count
from moexray.studies.kinds_result import Kinds
from moexray.views.figures.style import COLOURS, Panels, figure_of, figure_style, set_title, shown_name

# Diverging, and told apart by readers who do not see red and green.
_COLOURS = "PuOr"
_MOST_NAMES = 16


def kinds(result: Kinds, ax: Panels | None = None) -> Panels:
    """Draw the bias of every expert around 0.5, and the normalised entropy of each kind's load, by layer.

    Parameters
    ----------
    result
        What is drawn; an expert that neither kind selects is crossed out, and one that a layer does not have is blank.
    ax
        Two axes, left and right; by default those of a new figure.
    """
    with figure_style():
        left, right = ax or _panels()
        names = [shown_name(kind) for kind in result.kinds]
        model, prompts = shown_name(result.model or "unknown model"), count(sum(result.prompts), "prompt")
        title = f"Routing of {names[0]} and {names[1]} tokens, MSI {result.msi:.2f}\n{model}, {prompts}"
        set_title(left, title, own_figure=ax is None)
        _map(left, result, names)
        rows = range(len(result.layers))
        shown = range(0, len(result.layers), -(-len(result.layers) // _MOST_NAMES))
        left.set_yticks(shown, [str(result.layers[row].layer) for row in shown])
        for kind, name in enumerate(names):
            style = {"color": COLOURS[kind], "marker": "os"[kind], "markersize": 3, "linewidth": 0.9}
            right.plot([one.loads[kind].balance.entropy for one in result.layers], rows, label=name, **style)  # type: ignore[arg-type]
            even = [one.loads[kind].even.entropy for one in result.layers]
            right.plot(even, rows, color=COLOURS[kind], linestyle=":", linewidth=0.9, label=f"uniform, {name}")
        right.tick_params(axis="y", left=False, labelleft=False)
        right.set(xlabel="entropy of the load\n(1: even)")
        right.xaxis.set_major_locator(MaxNLocator(nbins=3))
        right.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return left, right


def _panels() -> Panels:
    left, right = Figure(figsize=(7.4, 3.6), layout="constrained").subplots(1, 2, sharey=True, width_ratios=(3, 1))
    return left, right


def _map(axes: Axes, result: Kinds, names: list[str]) -> None:
    bias = _biases(result)
    # The first kind is drawn at the end that its colour in the other panel stands nearest to: violet, and blue.
    image = axes.imshow(bias, cmap=_COLOURS, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    dead = np.array([(row, e) for row, one in enumerate(result.layers) for e, b in enumerate(one.bias) if b is None])
    if len(dead):
        axes.scatter(dead[:, 1], dead[:, 0], marker="x", s=14, color="0.5", linewidths=0.8)
    axes.set(xlabel="expert", ylabel="MoE layer (index in the model)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[:].set_visible(False)
    colours = figure_of(axes).colorbar(image, ax=axes, location="bottom", aspect=50, pad=0.02)
    colours.set_ticks([0, 0.5, 1], labels=[f"0: {names[1]}", "0.5: alike", f"1: {names[0]}"])
    colours.set_label("share of an expert's load" + (" (× never selected)" if len(dead) else ""))


def _biases(result: Kinds) -> NDArray[np.float64]:  # (layers, experts)
    """Return the bias of every expert; NaN where there is none."""
    found = np.full((len(result.layers), max(len(one.bias) for one in result.layers)), np.nan)
    for row, one in zip(found, result.layers, strict=True):
        row[: len(one.bias)] = [np.nan if bias is None else bias for bias in one.bias]
    return found
