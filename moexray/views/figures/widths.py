"""Widths of the columns that figures are printed in, and figures that have them."""

import math
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from moexray.errors import FigureError
from moexray.formats import visible
from moexray.views.figures.fonts import fonts_for
from moexray.views.figures.style import figure_of, figure_style

# Inches of a column, and of a page of two columns, by the authors' styles of these venues.
WIDTHS: Mapping[str, float] = {
    "icml": 3.25,
    "icml-page": 6.75,
    "aistats": 3.25,
    "aistats-page": 6.75,
    "uai": 3.25,
    "uai-page": 6.75,
    "cvpr": 3.25,
    "cvpr-page": 6.88,
    "aaai": 3.3,
    "aaai-page": 6.97,
    "neurips": 5.5,
    "iclr": 5.5,
    "colm": 5.5,
    "jmlr": 6.0,
    "tmlr": 6.5,
}
_LEAST, _MOST = 2.0, 20.0
# Points of titles and labels, and of ticks, legends and notes, which papers print at the size that they are drawn in.
_LABEL, _SMALL = 8, 7
_SHORTEST = 8


def inches(width: str) -> float:
    """Return the inches of a venue's name or of a number.

    Raises
    ------
    FigureError
        If `width` is no such name and no number between 2 and 20.

    Examples
    --------
    >>> inches("icml"), inches("4.5")
    (3.25, 4.5)
    """
    if width.lower() in WIDTHS:
        return WIDTHS[width.lower()]
    try:
        found = float(width)
    except ValueError:
        message = f"{visible(width)!r} is no width: give inches, or one of {', '.join(WIDTHS)}"
        raise FigureError(message) from None
    if not (math.isfinite(found) and _LEAST <= found <= _MOST):
        message = f"a figure cannot be {visible(width)} inches wide: give {_LEAST:g} to {_MOST:g}"
        raise FigureError(message)
    return found


def fit_width(axes: Axes | tuple[Axes, ...], width: float) -> None:
    """Give a figure of ours a width, in inches, with text of 8 points, and of 7 at ticks, in legends and notes.

    The height follows the width wholly where axes have a fixed aspect, and otherwise as far as its square root, or not
    at all where names of rows would then cover each other. Titles, notes and labels below that would leave the figure
    are broken into lines.

    Raises
    ------
    FigureError
        If there is no room for the names beside the panels.
    """
    figure = figure_of(axes[0] if isinstance(axes, tuple) else axes)
    with figure_style():
        height = figure.get_figheight()
        figure.set_size_inches(width, height * (width / figure.get_figwidth()) ** _power(figure.axes))
        for one in figure.axes:
            _size_text(one)
        for legend in figure.legends:
            _size_small(_texts_of(legend))
        title = figure.suptitle(
            figure.get_suptitle(), x=0.01, horizontalalignment="left", fontsize=_LABEL
        )  # sets the same title anew
        _lay_out(figure, width)
        if any(_rows_overlap(one) for one in figure.axes if one.get_aspect() == "auto"):
            figure.set_size_inches(width, height)
            _lay_out(figure, width)
        for text in (title, *(text for one in figure.axes for text in (one.xaxis.label, *one.texts))):
            _break(text, width * figure.dpi)
        _lay_out(figure, width)


def _lay_out(figure: Figure, width: float) -> None:
    """Place what a figure holds, or say that there is no room for it."""
    with fonts_for(figure):
        warnings.filterwarnings("error", message="constrained_layout not applied")
        try:
            figure.draw_without_rendering()
        except UserWarning:
            message = f"this figure has no room for its names at {width:g} inches: give a greater width"
            raise FigureError(message) from None


def _power(axes: Sequence[Axes]) -> float:
    """Return the power of a change of width that a figure's height follows."""
    panels = [one for one in axes if one.get_label() != "<colorbar>"]
    if any(one.get_aspect() != "auto" or one.get_box_aspect() is not None for one in panels):
        return 1.0
    return 0.5


def _rows_overlap(axes: Axes) -> bool:
    """Whether the names beside some rows cover each other."""
    boxes = [Text.get_window_extent(label) for label in axes.get_yticklabels() if label.get_text()]
    boxes.sort(key=lambda box: box.y0)
    return any(above.y0 < below.y1 for below, above in pairwise(boxes))


def _size_text(axes: Axes) -> None:
    axes.tick_params(which="both", labelsize=_SMALL)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title):  # type: ignore[attr-defined]
        label.set_fontsize(min(label.get_fontsize(), _LABEL))
    _size_small([*axes.texts, *_texts_of(axes.get_legend())])


def _size_small(texts: Iterable[Text]) -> None:
    for text in texts:
        text.set_fontsize(min(text.get_fontsize(), _SMALL))


def _texts_of(legend: Legend | None) -> list[Text]:
    return [] if legend is None else [*legend.get_texts(), legend.get_title()]


def _break(text: Text, pixels: float) -> None:
    """Break the lines of a text until it is inside a figure of this width, or its lines are as short as words."""
    lines = text.get_text().split("\n")
    longest = max(map(len, lines))
    while longest > _SHORTEST and not _inside(text, pixels):
        longest -= 1
        broken = [textwrap.wrap(line, longest, break_on_hyphens=False) or [""] for line in lines]
        text.set_text("\n".join(part for parts in broken for part in parts))


def _inside(text: Text, pixels: float) -> bool:
    box = Text.get_window_extent(text)
    return bool(box.x0 >= 0 and box.x1 <= pixels)
