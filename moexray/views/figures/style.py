"""What all figures share: colours and marks that survive grayscale, fonts for a column's width, titles, and saving."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from moexray.errors import FigureError
from moexray.files import whole_file
from moexray.formats import count, tokens_text, visible
from moexray.studies.header import Header
from moexray.studies.results import Result
from moexray.views.figures.fonts import fonts_for

# M. Okabe and K. Ito, Color Universal Design (2008); yellow comes last, since it is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
# Categories that have a colour and a marker of their own.
DISTINCT_MARKS = 24
MATRIX_COLOURS = "cividis"
# Labels are not broken here.
NO_BREAK = "\N{NO-BREAK SPACE}"
EFFECT_SIZE = f"effect size (Cohen's{NO_BREAK}d)"
# An upper and a lower panel.
Panels = tuple[Axes, Axes]

_LONGEST_NAME = 50
_MOST_LARGE = 32
# The share of a long name that its start takes.
_LABEL_START = 0.6
_RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": False,  # as in every other text
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text, which journals ask for
    "svg.fonttype": "none",
    "svg.hashsalt": "moexray",
    "text.parse_math": False,  # a category may hold a dollar sign
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


def figure_of(axes: Axes | tuple[Axes, ...]) -> Figure:
    """Return the figure that `axes`, of one panel or of several, are part of."""
    figure = (axes[0] if isinstance(axes, tuple) else axes).get_figure(root=True)
    if figure is None:
        message = "these axes belong to no figure"
        raise ValueError(message)
    return figure


def title_of(what: str, header: Header, *, sample: int | None = None) -> str:
    """Return a title of two lines: what is drawn and of which tokens, then the model and its prompts.

    Parameters
    ----------
    what
        What is drawn.
    header
        Of the signatures.
    sample
        How many of the prompts are drawn, where it is not all of them.
    """
    prompts = count(header.prompts, "prompt")
    if sample is not None and sample < header.prompts:
        prompts = f"{sample:,} of {prompts}, drawn at random"
    return f"{what}, {shown_name(tokens_text(header.phase))}\n{shown_model(header.model)}, {prompts}"


def shown_model(model: str | None) -> str:
    """Return the name of a model as a title has room for it: its end where it is long."""
    name = visible(model or "unknown model")
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]


def shown_name(name: str, *, most: int = 40) -> str:
    """Return a name as a figure has room for it: its start and its end where it is long, with nothing invisible.

    Parameters
    ----------
    name
        The name.
    most
        How many characters there is room for.

    Examples
    --------
    >>> shown_name("story"), shown_name("a" * 60 + "b" * 40)
    ('story', 'aaaaaaaaaaaaaaaaaaaaaaaa…bbbbbbbbbbbbbbb')
    """
    shown = visible(name)
    start = int(_LABEL_START * most)
    return shown if len(shown) <= most else f"{shown[:start]}…{shown[1 + start - most :]}"


def shown_names(names: Sequence[str], *, most: int = 40) -> list[str]:
    """Return names as `shown_name` does; of those that would look the same, what differs and what stands around it.

    Examples
    --------
    >>> shown_names(["story", "chapter one of the book", "chapter two of the book"], most=12)
    ['story', '…ter one of…', '…ter two of…']
    """
    shown = [shown_name(name, most=most) for name in names]
    for short in {name for name in shown if shown.count(name) > 1}:
        alike = [place for place, name in enumerate(shown) if name == short]
        whole = [visible(names[place]) for place in alike]
        differs = next((i for i, letters in enumerate(zip(*whole, strict=False)) if len(set(letters)) > 1), 0)
        start = max(0, differs - most // 3)
        for place, name in zip(alike, whole, strict=True):
            shown[place] = "…" * (start > 0) + name[start : start + most - 2] + "…" * (start + most - 2 < len(name))
    return shown


def set_title(axes: Axes, title: str, *, own_figure: bool) -> None:
    """Set the title over the whole of a figure of our own, whose width it may need, or over somebody's axes."""
    if own_figure:
        figure_of(axes).suptitle(title, x=0.01, horizontalalignment="left", fontsize=9)
    else:
        axes.set_title(title)


def two_panels() -> Panels:
    """Return an upper and a lower panel of a new figure, which share their axis below."""
    upper, lower = Figure(figsize=(5.2, 4.4), layout="constrained").subplots(2, 1, sharex=True)
    return upper, lower


def note_above(axes: Axes, text: str) -> None:
    """Say above a panel, at its right end, what a line or a shade means."""
    axes.annotate(text, (1, 1), xycoords="axes fraction", xytext=(0, 2), textcoords="offset points", ha="right",
                  va="bottom", color="0.35", fontsize=8)  # fmt: skip


def layers_below(axes: Axes, remark: str = "") -> None:
    """Let the axis below be the layers of a model, with a remark under its name."""
    axes.set(xlabel="MoE layer (index in the model)" + (f"\n{remark}" if remark else ""))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16, min_n_ticks=1))


def doublings_below(axes: Axes, numbers: Sequence[int]) -> None:
    """Let the axis below be numbers by their doublings, with names of up to nine of these."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(numbers, nbins=8))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def shade(
    axes: Axes, index: Sequence[float], ends: Sequence[Sequence[float] | None], *, colour: str, **how: Any
) -> None:
    """Shade intervals along an axis; one without a neighbour, of which a shade has no width, is a line.

    Parameters
    ----------
    axes
        Where to draw.
    index
        Where the intervals stand.
    ends
        The two ends of each; None, or two that are not numbers, where there is none.
    colour, how
        Of the shade.
    """
    low, high = np.array([(np.nan, np.nan) if one is None else one for one in ends], dtype=np.float64).reshape(-1, 2).T
    axes.fill_between(index, low, high, color=colour, linewidth=0, **how)
    there = np.isfinite(low) & np.isfinite(high)
    beside = np.pad(there, 1)
    alone = there & ~beside[:-2] & ~beside[2:]
    if alone.any():
        axes.vlines(np.asarray(index)[alone], low[alone], high[alone], color=colour, linewidth=1.2)


def say_not_computed(axes: Axes, place: tuple[float, float] = (0.5, 0.5), *, align: str = "center") -> None:
    """Say in a panel that what it would show is not there."""
    axes.annotate("not computed", place, xycoords="axes fraction", ha=align, va="center", color="0.35")


def mark_size(layers: int) -> float:
    """Return how large marks of layers are, in points: the marks of more than 32 would cover each other."""
    return 4 if layers <= _MOST_LARGE else 2


def percent_beside(axes: Axes) -> None:
    """Let the axis beside be shares, shown as percentages."""
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def missing(analysis: Result, *, figure: str, part: str) -> FigureError:
    """Return the error of a figure whose part of an analysis is not there, with the reason in the notes."""
    reason = analysis.reason(part) or "the analysis has no data for it: `moexray analyze` makes a new one"
    return FigureError(f"no figure {figure}: {reason}")


def category_marks(categories: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give each category a colour and a marker of its own; beyond eight colours the marker alone tells them apart."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(sorted(set(categories)))
    }


def save_figure(axes: Axes | tuple[Axes, ...], path: Path) -> None:
    """Write the figure of some axes as PNG, SVG or PDF by the suffix of `path`; equal figures give the same bytes.

    Raises
    ------
    FigureError
        If the suffix is another.
    MoexrayError
        If the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        message = f"{path} has no suffix of a figure: end it with {', '.join(SUFFIXES)}"
        raise FigureError(message)
    figure = figure_of(axes)
    with figure_style(), fonts_for(figure), whole_file(path) as partial:
        figure.savefig(partial, format=suffix[1:], metadata=_NO_DATES[suffix])
