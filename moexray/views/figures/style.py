"""What all figures share: colours and marks that survive grayscale, fonts for a column's width, and saving."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.files import whole_file

# M. Okabe and K. Ito, Color Universal Design (2008); the yellow is left to the end, it is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
MATRIX_COLOURS = "cividis"

_RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.hashsalt": "moexray",
}
# Without these a file would carry the time at which it was written.
_NO_DATES: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
SUFFIXES = tuple(_NO_DATES)


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw with moexray's settings, and leave the user's own as they were."""
    with mpl.rc_context({**mpl.rcParamsDefault, **_RC, "backend": mpl.rcParams["backend"]}):
        yield


def figure_of(axes: Axes) -> Figure:
    """Return the figure that `axes` are part of."""
    figure = axes.get_figure(root=True)
    if figure is None:
        message = "these axes belong to no figure"
        raise ValueError(message)
    return figure


def set_title(axes: Axes, title: str, *, own_figure: bool) -> None:
    """Set the title over the whole of a figure of our own, whose width it may need, or over somebody's axes."""
    if own_figure:
        figure_of(axes).suptitle(title, x=0.01, horizontalalignment="left", fontsize=9)
    else:
        axes.set_title(title)


def category_marks(categories: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give each category a colour and a marker of its own; beyond eight colours the marker alone tells them apart."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(sorted(set(categories)))
    }


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF by the suffix of `path`; the same figure gives the same bytes.

    Raises
    ------
    FigureError
        If the suffix is another.
    MoexrayError
        If the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        message = f"{path} has no suffix of a figure: end it with {', '.join(SUFFIXES)}"
        raise FigureError(message)
    with figure_style(), whole_file(path) as partial:
        figure.savefig(partial, metadata=_NO_DATES[path.suffix.lower()])
