"""Figure `categories`: the share of each category's tokens that every expert of some layers gets."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from moexray.formats import percent
from moexray.studies.category_shares import CategoryShares, LayerShares
from moexray.views.figures.relative import relative_bar, relative_image
from moexray.views.figures.style import (
    COLOURS,
    category_marks,
    figure_of,
    figure_style,
    note_above,
    set_title,
    shown_names,
    title_of,
)

# More points of a layer would cover each other, and more categories have no colour of their own: a map has room.
_MOST_POINTS, _MOST_COLOURS = 128, len(COLOURS)
_EVERY = "all prompts"
_INCHES_OF_POINTS, _INCHES_OF_ROW, _INCHES_AROUND = 1.3, 0.125, 0.6
# Beside panels there is room for names of so many characters.
_LONGEST_NAME = 24
# Above this share, ticks need no decimals.
_LARGE = 0.08


def categories(found: CategoryShares, ax: Axes | Sequence[Axes] | None = None) -> tuple[Axes, ...]:
    """Draw shares by category, one panel a layer, with uniform routing as a line, or as white.

    Up to eight categories and 128 shares a layer are drawn as points with 95 % intervals, over grey bars of all prompts
    together, and a line at the share of uniform routing. More are drawn as maps, in colours of the share over that of
    uniform routing, which is white. So is a share whose interval holds the uniform one: of many such intervals about
    one in twenty does not, by chance, more of experts that few tokens or prompts select, and `moexray experts` tests
    them together. A category of too few prompts for intervals has an asterisk.

    Parameters
    ----------
    found
        `moexray.studies.category_shares.category_shares` of signatures.
    ax
        As many axes as there are layers; by default those of a new figure.
    """
    points = len(found.categories) <= _MOST_COLOURS and all(one.shares.size <= _MOST_POINTS for one in found.layers)
    with figure_style():
        panels = _panels(found, points=points) if ax is None else (ax,) if isinstance(ax, Axes) else tuple(ax)
        title = title_of("Shares of tokens by category", found.signatures)
        set_title(panels[0], title, own_figure=ax is None)
        if points:
            for axes, layer in zip(panels, found.layers, strict=True):
                _points(axes, found.categories, layer)
            if ax is None:
                handles = panels[0].get_legend_handles_labels()
                figure_of(panels[0]).legend(*handles, loc="outside right center", handletextpad=0.2, fontsize=8)
            else:
                panels[0].legend(handletextpad=0.2, fontsize=7)
        else:
            _maps(panels, found)
        panels[-1].set_xlabel("expert")
        return panels


def _panels(found: CategoryShares, *, points: bool) -> tuple[Axes, ...]:
    layers, rows = len(found.layers), len(found.categories) + 1
    of_layer = _INCHES_OF_POINTS if points else 0.45 + _INCHES_OF_ROW * rows
    height = _INCHES_AROUND * (1 if points else 2) + layers * of_layer
    grid = Figure(figsize=(6.4, height), layout="constrained").subplots(layers, 1, squeeze=False)
    return tuple(grid[:, 0])


def _points(axes: Axes, names: Sequence[str], layer: LayerShares) -> None:
    experts = np.arange(len(layer.every))
    axes.bar(experts, layer.every, width=0.92, color="0.9", label=_EVERY)
    axes.axhline(layer.uniform, color="black", linewidth=0.8, linestyle="--")
    step = 0.8 / len(names)
    size = float(np.clip(60 / (len(experts) * len(names)) ** 0.5, 2.5, 5))
    shown = shown_names(names, most=_LONGEST_NAME)
    for number, (colour, marker) in enumerate(category_marks(names).values()):
        places = experts + step * (number - (len(names) - 1) / 2)
        axes.vlines(places, layer.low[number], layer.high[number], color=colour, linewidth=0.9)
        axes.plot(places, layer.shares[number], linestyle="", color=colour, marker=marker, markersize=size,
                  markeredgecolor="white", markeredgewidth=0.3, label=shown[number])  # fmt: skip
    axes.set_xlim(-0.6, len(experts) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"layer {layer.layer}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(
        PercentFormatter(1, symbol=" %", decimals=0 if axes.get_ylim()[1] > _LARGE else None)
    )
    note_above(axes, f"dashed: uniform, {percent(layer.uniform)}")


def _maps(panels: Sequence[Axes], found: CategoryShares) -> None:
    names = shown_names(found.categories, most=_LONGEST_NAME)
    relative = [_relative(layer) for layer in found.layers]
    every = np.concatenate([one.ravel() for one in relative])
    for axes, layer, shares in zip(panels, found.layers, relative, strict=True):
        image = relative_image(axes, shares, reach=every, aspect="auto")
        axes.axhline(0.5, color="black", linewidth=0.8)
        known = np.asarray(np.isfinite(layer.low).all(axis=1)).tolist()
        rows = [_EVERY, *(name if there else f"{name} *" for name, there in zip(names, known, strict=True))]
        axes.set_yticks(range(len(rows)), rows, fontsize=7)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        note_above(axes, f"layer {layer.layer}, uniform {percent(layer.uniform)}")
    unknown = any(np.isnan(layer.low).any() for layer in found.layers)
    white = "white: its interval holds that" + "; *: too few prompts for one" * unknown
    label = f"share of tokens relative to uniform routing\n({white})"
    relative_bar(image, panels, every, label, location="bottom", aspect=50, pad=0.02)


def _relative(layer: LayerShares) -> NDArray[np.float64]:  # (1 + categories, experts)
    """Return shares over the uniform one, all prompts first; 1 where the interval of a category holds it."""
    held = (layer.low <= layer.uniform) & (layer.uniform <= layer.high)
    shares = np.where(held, layer.uniform, layer.shares)
    return np.vstack([layer.every, shares]) / layer.uniform
