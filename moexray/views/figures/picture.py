"""A picture under a tint of the experts that its tokens lead to, in several layers side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from moexray.formats import count, percent
from moexray.studies.pictures import PictureLayer, PictureRouting
from moexray.views.figures.style import COLOURS, figure_of, figure_style, set_title, shown_name

# Black would hide what is under it, so yellow takes its place.
_COLOURS = (*COLOURS[:6], COLOURS[7])
_REST = "0.6"
_TINT = 0.55
# Numbers of experts are readable in a grid of so many rows and columns.
_MOST_NUMBERED = 16
_WIDTH = 2.5


def picture(
    result: PictureRouting, pixels: NDArray[np.uint8] | None = None, ax: Sequence[Axes] | None = None
) -> tuple[Axes, ...]:
    """Draw the grid of a picture's tokens, each in the colour of its strongest expert, over the picture.

    Parameters
    ----------
    result
        What is drawn. The experts that most tokens select have colours, the others are grey.
    pixels
        The picture, upright ``(height, width, 3)``, drawn beside the layers, and in grey under their tint; None for the
        grid alone.
    ax
        One axes for each layer, whose picture is not drawn beside them; by default those of a new figure.
    """
    with figure_style():
        panels = tuple(ax) if ax is not None else _panels(result, pixels)
        name, prompt = shown_name(result.image.name), shown_name(result.prompt)
        title = f"Experts of {name}, prompt {prompt}\n{shown_name(result.model or 'unknown model')}"
        set_title(panels[0], title, own_figure=ax is None)
        for axes, layer in zip(panels, result.layers, strict=True):
            _draw(axes, layer, pixels)
        if ax is None:
            figure_of(panels[0]).supxlabel(_explained(result), x=0.01, ha="left", fontsize=7, color="0.35")
        return panels


def _panels(result: PictureRouting, pixels: NDArray[np.uint8] | None) -> tuple[Axes, ...]:
    """Return an axes for each layer of a new figure, right of the picture itself."""
    number = len(result.layers) + (pixels is not None)
    rows, columns = result.layers[0].strongest.shape if pixels is None else pixels.shape[:2]
    height = min(max(_WIDTH * rows / columns, 0.8), 3 * _WIDTH)
    made = Figure(figsize=(max(number * _WIDTH, 4.2), height + 1.8), layout="constrained")
    panels = tuple(made.subplots(1, number, squeeze=False)[0])
    if pixels is None:
        return panels
    panels[0].imshow(pixels, aspect="auto")
    panels[0].set_box_aspect(rows / columns)
    panels[0].set_title("the picture\n", fontsize=8)
    panels[0].set(xticks=[], yticks=[])
    panels[0].spines[:].set_visible(False)
    return panels[1:]


def _draw(axes: Axes, layer: PictureLayer, pixels: NDArray[np.uint8] | None) -> None:
    rows, columns = layer.strongest.shape
    box = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    grid = _colours_of(layer)
    if pixels is None:
        axes.imshow(grid, extent=box, interpolation="nearest", aspect="auto")
        height, width = rows, columns
    else:
        grey = pixels.astype(float) @ np.array([0.299, 0.587, 0.114])
        axes.imshow(grey, extent=box, cmap="gray", vmin=0, vmax=255, interpolation="antialiased", aspect="auto")
        axes.imshow(grid, extent=box, alpha=_TINT, interpolation="nearest", aspect="auto")
        height, width = pixels.shape[:2]
    axes.set_box_aspect(height / width)
    if max(rows, columns) <= _MOST_NUMBERED:
        for (row, column), expert in np.ndenumerate(layer.strongest):
            if expert >= 0:
                axes.text(column, row, str(expert), ha="center", va="center", fontsize=min(7, 64 / max(rows, columns)))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(f"layer {layer.layer}\n{count(layer.experts, 'expert')}, {layer.top_k} a token", fontsize=8)
    shares = zip(layer.leading, layer.shares, strict=True)
    entries = [
        Patch(color=colour, label=f"{expert}: {percent(share)}")
        for colour, (expert, share) in zip(_COLOURS, shares, strict=False)
    ]
    if layer.others:
        entries.append(Patch(color=_REST, label=count(layer.others, "other")))
    axes.legend(handles=entries, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 0.0))


def _colours_of(layer: PictureLayer) -> NDArray[np.float64]:  # (rows, columns, 3)
    """Return the colour of each token's strongest expert; white where a token selects none."""
    found = np.full((*layer.strongest.shape, 3), to_rgb(_REST))
    found[layer.strongest < 0] = 1.0
    for expert, colour in zip(layer.leading, _COLOURS, strict=False):
        found[layer.strongest == expert] = to_rgb(colour)
    return found


def _explained(result: PictureRouting) -> str:
    tokens = result.layers[0].strongest.size
    uniform = sorted({percent(layer.even) for layer in result.layers})
    chosen = "has the greatest gate weight" if result.weighted else "most of the picture's tokens select"
    return (
        f"colour and number: of a token's experts the one that {chosen}\n"
        f"legend: share of the picture's {count(tokens, 'token')} that select an expert, {' or '.join(uniform)} if even"
    )
