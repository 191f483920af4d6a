"""Figure `similarity`: the similarity of every two prompts, in the order of their categories."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from moexray.studies.similarity_matrix import SimilarityMatrix
from moexray.views.figures.style import MATRIX_COLOURS, figure_of, figure_style, set_title, shown_names, title_of

# Names of more categories are smaller, and have no sizes; of even more, some are left out.
_MOST_LARGE, _MOST_NAMES = 12, 20
_LONGEST_NAME, _LONGEST_OF_MANY = 24, 20
# Letters that there is room for below the matrix, and of an upright name.
_MOST_LETTERS, _LONGEST_UPRIGHT = 32, 12


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
        names, sizes = np.unique(np.asarray(found.categories, dtype=object)[order], return_counts=True)
        edges = np.cumsum([0, *sizes]) - 0.5
        few = len(names) <= _MOST_LARGE
        for edge in edges[1:-1]:
            axes.axhline(edge, color="white", linewidth=1 if few else 0.5)
            axes.axvline(edge, color="white", linewidth=1 if few else 0.5)
        named = shown_names(names.tolist(), most=_LONGEST_NAME if few else _LONGEST_OF_MANY)
        sized = [f"{name} ({size})" for name, size in zip(named, sizes, strict=True)] if few else named
        some = slice(None, None, -(-len(named) // _MOST_NAMES))
        centres = ((edges[:-1] + edges[1:]) / 2)[some]
        axes.set_yticks(centres, sized[some])
        _name_columns(axes, centres, named[some])
        axes.tick_params(length=0, labelsize=9 if few else 7)
        place: dict[str, Any] = (
            {"fraction": 0.046, "pad": 0.04} if few else {"location": "bottom", "fraction": 0.03, "pad": 0.02}
        )
        figure_of(axes).colorbar(image, ax=axes, label="cosine similarity", **place)
        axes.spines[:].set_visible(False)
        title = title_of("Similarity of routing signatures", found.signatures, sample=len(found.categories))
        set_title(axes, title, own_figure=ax is None)
        return axes


def _name_columns(axes: Axes, centres: NDArray[np.float64], names: Sequence[str]) -> None:
    """Name the columns, level or upright, where there is room; else only say that their order is that of the rows."""
    longest = max(map(len, names))
    if longest * len(names) <= _MOST_LETTERS:
        axes.set_xticks(centres, names)
    elif longest <= _LONGEST_UPRIGHT:
        axes.set_xticks(centres, names, rotation=90)
    else:
        axes.set_xticks([])
        axes.set_xlabel("columns in the order of the rows")
