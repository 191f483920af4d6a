"""The matrix of similarities between prompts, in the order of their categories."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from moexray.views.figures.style import MATRIX_COLOURS, figure_of, figure_style, set_title


def draw_similarity(
    matrix: NDArray[np.float64], labels: Sequence[str], *, title: str, axes: Axes | None = None
) -> Figure:
    """Draw similarities ``(prompts, prompts)``, rows and columns sorted by category.

    The diagonal, each prompt with itself, is one by definition and left blank.
    """
    with figure_style():
        target = axes or Figure(figsize=(5.2, 4.5), layout="compressed").subplots()
        order = np.argsort(np.asarray(labels, dtype=object), kind="stable")
        shown = matrix[np.ix_(order, order)].astype(float)
        np.fill_diagonal(shown, np.nan)
        image = target.imshow(shown, cmap=MATRIX_COLOURS, interpolation="nearest")
        figure_of(target).colorbar(image, ax=target, label="cosine similarity of signatures", fraction=0.046, pad=0.04)
        names = sorted(set(labels))
        sizes = [list(labels).count(name) for name in names]
        edges = np.cumsum([0, *sizes]) - 0.5
        for edge in edges[1:-1]:
            target.axhline(edge, color="white", linewidth=1)
            target.axvline(edge, color="white", linewidth=1)
        centres = (edges[:-1] + edges[1:]) / 2
        ticks = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True)]
        target.set_yticks(centres, ticks)
        target.set_xticks(centres, names, rotation=0 if len(names) < 6 else 90)
        target.tick_params(length=0)
        target.spines[:].set_visible(False)
        set_title(target, title, own_figure=axes is None)
        return figure_of(target)
