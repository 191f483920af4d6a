"""Widths of the columns that figures are printed in, and figures that have them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.text import Text

from moexray.errors import FigureError
from moexray.formats import visible
from moexray.views.figures.fonts import fonts_for
from moexray.views.figures.settling import break_beside, legend_leaves, legends_high, settle
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
# Inches below which two panels have no room side by side.
_STACKED = 4.5


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

    The height follows the width wholly where axes have a fixed aspect, and otherwise as far as its square root; less
    far, by a square root, where names of rows would then cover each other, or a legend had no room. Two panels side by
    side stand one below the other in a narrow column. Texts are brought inside of the figure: see
    `moexray.views.figures.settling.settle`.

    Raises
    ------
    FigureError
        If there is no room for the names beside the panels.
    """
    figure = figure_of(axes)
    with figure_style(), fonts_for(figure):
        if width < _STACKED:
            _stack(figure)
        height, change = figure.get_figheight() - legends_high(figure), width / figure.get_figwidth()
        power = _power(figure.axes)
        figure.set_size_inches(width, height * change**power)
        for one in figure.axes:
            _size_text(one)
        for legend in figure.legends:
            _size_small(_texts_of(legend))
        figure.suptitle(
            figure.get_suptitle(), x=0.01, horizontalalignment="left", fontsize=_LABEL
        )  # sets the same title anew
        if not _has_room(figure):
            figure.set_size_inches(width, height * change ** (power - 0.5 * (change < 1)))
            settle(figure)
        break_beside(figure)


def _has_room(figure: Figure) -> bool:
    """Settle a figure, and say whether its height has room for all names."""
    try:
        settle(figure)
    except FigureError:  # the height may be too small, which is tried next
        return False
    return not any(_rows_overlap(one) or legend_leaves(one) for one in figure.axes)


def _stack(figure: Figure) -> None:
    """Put two panels that stand side by side, each with its own axes, one below the other, as wide as one was."""
    panels = figure.axes
    places = [one.get_subplotspec() for one in panels]
    beside = [one is not None and one.get_gridspec().get_geometry() == (1, 2) for one in places]
    if len(panels) != 2 or not all(beside) or panels[0].get_shared_y_axes().joined(panels[0], panels[1]):
        return
    grid = GridSpec(2, 1, figure=figure)
    for row, one in enumerate(panels):
        one.set_subplotspec(grid[row])
    legends = legends_high(figure)
    figure.set_size_inches(figure.get_figwidth() / 2, 2 * (figure.get_figheight() - legends) + legends)


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
