"""Figure `similarity`: the similarity of every two prompts, in the order of their categories."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.studies.similarity_matrix import SimilarityMatrix
from moexray.views.figures.style import MATRIX_COLOURS, figure_of, figure_style, set_title, shown_name, title_of

_MOST_UPRIGHT = 6
_MOST_NAMES = 40
_MOST_LARGE = 12


def similarity(found: SimilarityMatrix, ax: Axes | None = None) -> Axes:
    """Draw similarities, rows and columns sorted by category.

    The diagonal, each prompt with itself, is one by definition and left blank.

    Parameters
    ----------
    found
        `moexray.studies.similarity_matrix.similarity_matrix` of signatures.
    ax
        Where to draw; by default in a new figure.
    """
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 4.5), layout="compressed").subplots()
        order = np.argsort(np.asarray(found.categories, dtype=object), kind="stable")
        shown = found.matrix[np.ix_(order, order)].astype(float)
        np.fill_diagonal(shown, np.nan)
        image = axes.imshow(shown, cmap=MATRIX_COLOURS, interpolation="nearest")
        figure_of(axes).colorbar(image, ax=axes, label="cosine similarity of signatures", fraction=0.046, pad=0.04)
        names, sizes = np.unique(np.asarray(found.categories, dtype=object)[order], return_counts=True)
        edges = np.cumsum([0, *sizes]) - 0.5
        for edge in edges[1:-1]:
            axes.axhline(edge, color="white", linewidth=1)
            axes.axvline(edge, color="white", linewidth=1)
        centres, named = (edges[:-1] + edges[1:]) / 2, [shown_name(name) for name in names]
        sized = [f"{name} ({size})" for name, size in zip(named, sizes, strict=True)]
        some = slice(None, None, -(-len(named) // _MOST_NAMES))
        axes.set_yticks(centres[some], sized[some])
        axes.set_xticks(centres[some], named[some], rotation=0 if len(named) < _MOST_UPRIGHT else 90)
        axes.tick_params(length=0, labelsize=9 if len(centres[some]) <= _MOST_LARGE else 7)
        axes.spines[:].set_visible(False)
        title = title_of("Similarity of routing signatures", found.signatures, sample=len(found.categories))
        set_title(axes, title, own_figure=ax is None)
        return axes
