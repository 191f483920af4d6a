"""Figure `distributions`: how similar pairs of prompts are, within and across categories and under both nulls."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from moexray.errors import FigureError
from moexray.formats import number
from moexray.stats.pairs.histogram import PairHistogram
from moexray.studies.analysis import Analysis
from moexray.views.figures.style import COLOURS, figure_style, missing, set_title, title_of

# The height of the highest bin of a row, whose base is a whole number.
_HIGHEST = 0.82


@dataclass(frozen=True)
class _Row:
    """Pairs of one kind, their mean, and how they are drawn; the tallest bin of all rows of one `scale` is full."""

    name: str
    pairs: PairHistogram
    mean: float
    colour: str
    scale: str


def distributions(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw the similarity of pairs within and across categories, over that of pairs under load balancing alone.

    Of many prompts, the histograms are those of a sample, and those of the nulls of a smaller one; the means within and
    across are of all prompts. The densities of pairs within and across have one scale, and those of each null their
    own. The mean of a row is its vertical line; those of the pairs within and across run through all rows.

    Parameters
    ----------
    analysis
        Its histograms are drawn, and the means of its headline; a null that was not computed has no row.
    ax
        Where to draw; by default in a new figure.

    Raises
    ------
    FigureError
        If the analysis was saved before it kept histograms, or no two prompts make a pair.
    """
    rows = list(_rows(analysis))
    with figure_style():
        axes = ax or Figure(figsize=(5.6, 1.2 + 0.55 * len(rows)), layout="constrained").subplots()
        title = title_of("Similarity of pairs of prompts", analysis.signatures, sample=analysis.signatures.sample)
        set_title(axes, title, own_figure=ax is None)
        bases = np.arange(len(rows))[::-1]
        for base, row in zip(bases.tolist(), rows, strict=True):
            tallest = max(_densities(one.pairs).max() for one in rows if one.scale == row.scale)
            heights = base + _HIGHEST * _densities(row.pairs) / tallest
            edges = row.pairs.start + row.pairs.width * np.arange(len(heights) + 1)
            axes.stairs(heights, edges, baseline=base, fill=True, color=row.colour, alpha=0.35, label=row.name)
            axes.stairs(heights, edges, baseline=base, color=row.colour, linewidth=0.8)
            axes.axhline(base, color="0.8", linewidth=0.6)
            if row.scale == "observed":
                axes.axvline(row.mean, color=row.colour, linewidth=0.8, linestyle="--" if base % 2 else ":")
            axes.plot([row.mean] * 2, [base, base + 0.9], color=row.colour, linewidth=1.6, solid_capstyle="butt")
            axes.annotate(number(row.mean, 3), (1, base + 0.4), xycoords=axes.get_yaxis_transform(), xytext=(4, 0),
                          textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        axes.set_yticks(bases + 0.4, [row.name for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel=_below(analysis), ylim=(-0.05, len(rows)))
        axes.locator_params(axis="x", nbins=6)
        axes.annotate("mean", (1, 1), xycoords="axes fraction", xytext=(4, 2), textcoords="offset points", fontsize=8,
                      color="0.35")  # fmt: skip
        return axes


def _below(analysis: Analysis) -> str:
    """Return the label below, which says what is of other prompts than the title names."""
    header, lines = analysis.signatures, ["cosine similarity of two signatures"]
    if header.sample is not None and header.sample < header.prompts:
        lines.append("means within and across: of all prompts")
    if analysis.balance is not None and "balance" in analysis.notes:
        lines.append(f"same load, balanced: {analysis.notes['balance']}")
    return "\n".join(lines)


def _rows(analysis: Analysis) -> Iterator[_Row]:
    similarity, balance = analysis.similarity, analysis.balance
    found = similarity.histogram
    if found is None:
        raise missing(analysis, figure="distributions", part="similarity.histogram")
    if found.within is None and found.across is None:
        message = "no figure distributions: no two prompts make a pair"
        raise FigureError(message)
    if found.within is not None and similarity.within.mean is not None:
        yield _Row("within\ncategories", found.within, similarity.within.mean, COLOURS[0], "observed")
    if found.across is not None and similarity.across.mean is not None:
        yield _Row("across\ncategories", found.across, similarity.across.mean, COLOURS[1], "observed")
    if balance is not None:
        for name, null in (("same load,\nat random", balance.load_matched), ("balanced\nrouting", balance.uniform)):
            if null.histogram is not None:
                yield _Row(name, null.histogram, null.mean, "0.4", name)


def _densities(found: PairHistogram) -> NDArray[np.float64]:  # (bins,)
    pairs = np.array(found.pairs, dtype=np.float64)
    return np.asarray(pairs / pairs.sum() / found.width)
