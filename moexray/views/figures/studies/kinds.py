"""The bias of every expert between two kinds of tokens, by layer, and how balanced the load of each kind is."""

import textwrap
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from moexray.formats import count
from moexray.studies.kinds_result import Kinds
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.studies.kind_devices import draw_devices
from moexray.views.figures.style import COLOURS, Panels, figure_of, figure_style, set_title, shown_name

# Diverging, and told apart by readers who do not see red and green.
_COLOURS = "PuOr"
_NOBODY = "0.75"
_MOST_NAMES = 16
# More experts have no room for a mark of their own, and of more layers marks would cover each other.
_MOST_EXPERTS, _MOST_MARKED = 128, 32
# Letters of a line of the legend, which is under a narrow panel.
_LEGEND = 18


def kinds(result: Kinds, ax: Panels | None = None) -> Panels:
    """Draw the bias of every expert around 0.5, and the normalised entropy of each kind's load, by layer.

    Of layers of more than 128 experts, these are drawn in the order of their bias.

    Parameters
    ----------
    result
        What is drawn; an expert that neither kind selects is crossed out, or grey where there are many, and one that a
        layer does not have is blank.
    ax
        Two axes, left and right; by default those of a new figure, which has a third below them where the result has
        devices: see `moexray.views.figures.studies.kind_devices`.
    """
    with figure_style():
        left, right = ax or _panels(result)
        names = [shown_name(kind) for kind in result.kinds]
        model, prompts = shown_name(result.model or "unknown model"), count(sum(result.prompts), "prompt")
        title = f"Routing of {names[0]} and {names[1]} tokens, MSI {result.msi:.2f}\n{model}, {prompts}"
        set_title(left, title, own_figure=ax is None)
        _map(left, result, names)
        shown = range(0, len(result.layers), -(-len(result.layers) // _MOST_NAMES))
        left.set_yticks(shown, [str(result.layers[row].layer) for row in shown])
        _entropies(right, result, names, own_figure=ax is None)
        if ax is None:
            settle(figure_of(left))
        return left, right


def _panels(result: Kinds) -> Panels:
    height = 4.0 if len(result.layers) <= _MOST_MARKED else 5.6
    if result.devices is None:
        figure = Figure(figsize=(7.4, height), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        return left, right
    figure = Figure(figsize=(7.4, height + 2.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 1), height_ratios=(height, 2.2))
    left = figure.add_subplot(grid[0, 0])
    right = figure.add_subplot(grid[0, 1], sharey=left)
    draw_devices(figure.add_subplot(grid[1, :]), result, result.devices, own_figure=True)
    return left, right


def _entropies(axes: Axes, result: Kinds, names: list[str], *, own_figure: bool) -> None:
    rows = range(len(result.layers))
    marked = len(rows) <= _MOST_MARKED
    for kind, name in enumerate(names):
        colour = COLOURS[kind]
        style: dict[str, Any] = {
            "color": colour,
            "marker": "os"[kind] if marked else "",
            "markersize": 3,
            "linewidth": 0.9,
        }
        axes.plot(
            [one.loads[kind].balance.entropy for one in result.layers],
            rows,
            label="\n".join(textwrap.wrap(name, _LEGEND)),
            **style,
        )
        even = [one.loads[kind].even.entropy for one in result.layers]
        # A line of one layer has no length, so uniform routing has marks as well.
        style = {"color": colour, "linestyle": ":", "linewidth": 0.9, "marker": "|" if marked else "", "markersize": 6}
        axes.plot(even, rows, label="" if kind else "dotted: uniform", **style)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.set(xlabel="entropy of the load\n(1: even)")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
    legend_below(axes, own_figure=own_figure)


def _map(axes: Axes, result: Kinds, names: list[str]) -> None:
    bias = _biases(result)
    dead = np.array([(row, e) for row, one in enumerate(result.layers) for e, b in enumerate(one.bias) if b is None])
    many = bias.shape[1] > _MOST_EXPERTS
    # The first kind is drawn at the end that its colour in the other panel stands nearest to: violet, and blue.
    colours = colormaps[_COLOURS]
    if many:
        bias = -np.sort(-bias, axis=1)  # what is not a number comes last
        colours = colours.with_extremes(under=_NOBODY)
        for row, one in enumerate(result.layers):
            bias[row, len(one.bias) - one.bias.count(None) : len(one.bias)] = -1
    image = axes.imshow(bias, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    if len(dead) and not many:
        axes.scatter(dead[:, 1], dead[:, 0], marker="x", s=14, color="0.5", linewidths=0.8)
    order = "experts, in the order of their bias" if many else "expert"
    axes.set(xlabel=order, ylabel="MoE layer (index in the model)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[:].set_visible(False)
    bar = figure_of(axes).colorbar(image, ax=axes, location="bottom", aspect=50, pad=0.02)
    bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1"])
    nobody = f" ({'grey:' if many else '×'} never selected)" if len(dead) else ""
    bar.set_label(f"of an expert's load, share of {names[0]},\nnot of {names[1]}{nobody}")


def _biases(result: Kinds) -> NDArray[np.float64]:  # (layers, experts)
    """Return the bias of every expert; NaN where there is none."""
    found = np.full((len(result.layers), max(len(one.bias) for one in result.layers)), np.nan)
    for row, one in zip(found, result.layers, strict=True):
        row[: len(one.bias)] = [np.nan if bias is None else bias for bias in one.bias]
    return found
