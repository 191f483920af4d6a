"""Texts of a figure brought inside of it: lines broken, ticks thinned, legends under their panels."""

import math
import textwrap
import warnings
from collections.abc import Sequence
from itertools import pairwise
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import offset_copy

from moexray.errors import FigureError
from moexray.views.figures.fonts import fonts_for
from moexray.views.figures.style import figure_of, figure_style

# Marks a legend that stands under its panel, where its entries have as many columns as there is room for.
_BELOW = "_below"
_SHORTEST = 8
_NO_LAYOUT = "constrained_layout not applied"
# A label beside a panel may be so much longer than it.
_LONGER_THAN_PANEL = 1.15
# Of a figure's width, what names beside a panel may take before they are broken into two lines.
_NAMES = 0.36
# Points between what is under a panel and its legend, and between the labels of two ticks.
_GAP, _APART = 3, 3
# The height of a name in two lines, with the space above and below it, for that of one line.
_TWO_LINES = 2.2
# Pixels at the edges of a figure that texts stay out of.
_EDGE = 1
# Of each text whose lines were broken, how it stands, and how it was written.
_BROKEN: WeakKeyDictionary[Text, tuple[str, str]] = WeakKeyDictionary()
# Ticks are uneven where one is so many times as far from the next as another.
_UNEVEN = 1.5


def legend_below(axes: Axes, *, own_figure: bool, size: float = 8) -> None:
    """Let what is drawn on axes with a label have a legend, in a figure of our own under the panel.

    `settle` gives it as many columns as there is room for.
    """
    if not axes.get_legend_handles_labels()[1]:
        return
    legend = axes.legend(fontsize=size, loc="upper left" if own_figure else "best")
    if own_figure:
        legend.set_label(_BELOW)


def settle(figure: Figure) -> None:
    """Bring the texts of a figure of ours inside of it, and make it higher by the legends under its panels.

    The title, labels and notes that would leave it are broken into lines, as are long names beside a panel; of ticks
    whose labels would touch, every other goes; legends under a panel have the columns that there is room for.

    Raises
    ------
    FigureError
        If there is no room for the names beside the panels.
    """
    with figure_style(), fonts_for(figure):
        panels = figure.axes
        for axes in panels:
            _break_names(axes, figure.bbox.width)
        _lay_out_panels(figure)
        title = figure._suptitle  # type: ignore[attr-defined]
        if title is not None:
            break_text(title)
        _break_labels(panels)
        figure.set_figheight(figure.get_figheight() + legends_high(figure))
        lay_out(figure)
        for change in (_thin_all, _break_labels, _break_labels):  # lines that are broken move the panels
            if change(panels):
                lay_out(figure)


def _thin_all(panels: Sequence[Axes]) -> bool:
    return any([_thin(axes) for axes in panels])  # noqa: C419  # all of them are thinned


def _break_labels(panels: Sequence[Axes]) -> bool:
    """Break the labels and notes of panels that leave the figure; say whether any did."""
    changed = False
    for axes in panels:
        changed |= break_text(axes.xaxis.label, _room_of(axes))
        for text in (axes.yaxis.label, *axes.texts):
            changed |= break_text(text)
        _arrange(axes)
    return changed


def break_beside(figure: Figure) -> None:
    """Break the labels that are longer than the panel that they stand beside, in a figure that is settled."""
    with figure_style(), fonts_for(figure):
        changed = False
        for axes in figure.axes:
            changed |= break_text(axes.yaxis.label, most_high=_LONGER_THAN_PANEL * axes.bbox.height)
        if changed:
            lay_out(figure)
            if _thin_all(figure.axes):
                lay_out(figure)


def _lay_out_panels(figure: Figure) -> None:
    """Place panels as if they had neither notes, which are too long as yet, nor legends, whose room is added."""
    passed = [*(text for axes in figure.axes for text in axes.texts if text.get_in_layout())]
    legends = [legend for axes in figure.axes if (legend := axes.get_legend()) is not None]
    for one in (*passed, *legends):
        one.set_in_layout(False)
    with fonts_for(figure):
        warnings.filterwarnings("ignore", message=_NO_LAYOUT)
        figure.draw_without_rendering()
    for one in (*passed, *legends):
        one.set_in_layout(True)


def legends_high(figure: Figure) -> float:
    """Return the inches that the legends under the panels add to the height of a figure."""
    rows: dict[int, float] = {}
    for axes in figure.axes:
        legend, place = axes.get_legend(), axes.get_subplotspec()
        if legend is not None and legend.get_label() == _BELOW:
            row = 0 if place is None else place.rowspan.start
            rows[row] = max(rows.get(row, 0.0), legend.get_window_extent().height / figure.dpi)
    return sum(rows.values())


def legend_leaves(axes: Axes) -> bool:
    """Whether the legend of a panel is higher than its figure has room for."""
    legend = axes.get_legend()
    if legend is None or legend.get_label() == _BELOW:
        return False
    box = legend.get_window_extent()
    return bool(box.y0 < 0 or box.y1 > figure_of(axes).bbox.y1)


def lay_out(figure: Figure) -> None:
    """Place what a figure holds, or say that there is no room for it."""
    with fonts_for(figure):
        warnings.filterwarnings("error", message=_NO_LAYOUT)
        try:
            figure.draw_without_rendering()
        except UserWarning as warning:
            if not str(warning).startswith(_NO_LAYOUT):
                raise
            message = f"this figure has no room for its names at {figure.get_figwidth():g} inches: give a greater width"
            raise FigureError(message) from None


def break_text(text: Text, across: tuple[float, float] | None = None, *, most_high: float = math.inf) -> bool:
    """Break lines of a text until it is inside of its figure, or they are as short as words; say whether it changed.

    Parameters
    ----------
    text
        What is broken.
    across
        Pixels from the left that it is kept between; by default the figure's own.
    most_high
        Pixels that an upright text is long at most; where they are given, nothing else is asked, since more lines leave
        the figure until it is laid out anew.
    """
    before = written = text.get_text()
    broken, whole = _BROKEN.get(text, ("", ""))
    if written == broken:  # at another size, which may have had less room
        written = whole
        text.set_text(written)
    lines = written.split("\n")
    longest = max(map(len, lines))
    while longest > _SHORTEST and not _inside(text, across, most_high):
        longest -= 1
        wrapped = [textwrap.wrap(line, longest, break_on_hyphens=False) or [""] for line in lines]
        text.set_text("\n".join(part for parts in wrapped for part in parts))
    _BROKEN[text] = (text.get_text(), written)
    return before != text.get_text()


def _inside(text: Text, across: tuple[float, float] | None, most_high: float) -> bool:
    box, figure = Text.get_window_extent(text), text.get_figure(root=True)
    assert figure is not None
    if most_high < math.inf:
        return bool(box.height <= most_high)
    low, high = across or (_EDGE, figure.bbox.width - _EDGE)
    upright = text.get_rotation() != 0
    return bool(box.x0 >= low and box.x1 <= high and (not upright or (box.y0 >= 0 and box.y1 <= figure.bbox.height)))


def _room_of(axes: Axes) -> tuple[float, float] | None:
    """Return the pixels that the label below a panel has; None for all there are.

    They are fewer where another panel, or a legend, is beside it.
    """
    place, legend = axes.get_subplotspec(), axes.get_legend()
    if legend is not None and (left := legend.get_window_extent().x0) >= axes.bbox.x1:
        return 0.0, left
    if place is None or len(place.colspan) == place.get_gridspec().ncols:
        return None
    margin = 0.03 * figure_of(axes).bbox.width
    return axes.bbox.x0 - margin, axes.bbox.x1 + margin


def _break_names(axes: Axes, pixels: float) -> None:
    """Break the names beside a panel that take too much of the width into two lines."""
    for one in (axes, *axes.child_axes):
        names = [label for label in one.get_yticklabels() if label.get_text() and label.get_visible()]
        if sum(_TWO_LINES * label.get_window_extent().height for label in names) > one.bbox.height:
            continue  # lines of neighbours would cover each other
        if not any(label.get_window_extent().width > _NAMES * pixels for label in names):
            continue
        broken = []
        for label in one.get_yticklabels():
            written, longest = label.get_text(), len(label.get_text())
            while longest > _SHORTEST and label.get_window_extent().width > _NAMES * pixels:
                longest -= 1
                lines = textwrap.wrap(written, longest)
                if len(lines) > 2:
                    break
                label.set_text("\n".join(lines))
            broken.append(label.get_text())
        one.set_yticks(one.get_yticks(), broken)


def _arrange(axes: Axes) -> None:
    """Place a legend under its panel, with as many columns as there is room for."""
    legend = axes.get_legend()
    if legend is None or legend.get_label() != _BELOW:
        return
    figure = figure_of(axes)
    handles, labels = axes.get_legend_handles_labels()
    _, right = _room_of(axes) or (0, figure.bbox.width)
    under = axes.xaxis.get_tightbbox()
    down = _GAP + (0 if under is None else max(axes.bbox.y0 - under.y0, 0) * 72 / figure.dpi)

    def placed(columns: int, *, left: float = 0.0) -> float:
        """Place it, and return by how many pixels it leaves its room."""
        size = legend.get_texts()[0].get_fontsize()
        made = axes.legend(
            handles, labels, fontsize=size, ncols=columns, loc="upper left", bbox_to_anchor=(0, 0),
            bbox_transform=offset_copy(axes.transAxes, figure, x=-left, y=-down, units="points"), borderaxespad=0,
            borderpad=0.2, columnspacing=1.2, handlelength=1.8,
        )  # fmt: skip
        made.set_label(_BELOW)
        return float(axes.bbox.x0 + made.get_window_extent().width - right)

    columns = _columns(legend, right - axes.bbox.x0)
    while (beyond := placed(columns)) > 0 and columns > 1:
        columns -= 1
    if beyond > 0:  # its names are too long for the width of the panel
        placed(1, left=min(beyond, axes.bbox.x0) * 72 / figure.dpi)


def _columns(legend: Legend, room: float) -> int:
    """Return how many columns of a legend fit some pixels, or one more."""
    texts = legend.get_texts()
    em = float(texts[0].get_fontsize()) * figure_of(legend.axes).dpi / 72
    widths = [text.get_window_extent().width + 3.8 * em for text in texts]  # with its mark, and the space beside it
    for columns in range(len(texts), 1, -1):
        rows = -(-len(texts) // columns)
        if sum(max(widths[first : first + rows]) for first in range(0, len(texts), rows)) <= room + 2 * em:
            return columns
    return 1


def _thin(axes: Axes) -> bool:
    """Drop ticks below a panel until the labels of the others are apart; say whether any was dropped."""
    dropped = False
    while True:
        low, high = sorted(axes.get_xlim())
        ticks = [
            (place, label)
            for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=False)
            if label.get_text() and low <= place <= high
        ]
        boxes = [label.get_window_extent() for _, label in ticks]
        gap = _APART * figure_of(axes).dpi / 72
        touching = [place for place, (a, b) in enumerate(pairwise(boxes)) if a.x1 + gap > b.x0]
        if len(ticks) < 3 or not touching:
            return dropped
        # Of even ticks every other goes, of uneven ones those that touch the next.
        widths = [b.x0 + b.x1 - a.x0 - a.x1 for a, b in pairwise(boxes)]
        even = max(widths) < _UNEVEN * min(widths)
        kept = ticks[::2] if even else [tick for place, tick in enumerate(ticks) if place not in touching[-1::-2]]
        axes.set_xticks([place for place, _ in kept], [label.get_text() for _, label in kept])
        dropped = True
