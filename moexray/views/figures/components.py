"""Figure `pca`: prompts in the plane of their first two principal components."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.formats import number, percent
from moexray.studies.analysis import Analysis
from moexray.views.figures.style import (
    DISTINCT_MARKS,
    NO_BREAK,
    category_marks,
    figure_style,
    missing,
    note_above,
    set_title,
    shown_names,
    title_of,
)

# Names of more categories are smaller, so that all of them stand within the height of the figure.
_MOST_NAMES = 12
_LONGEST_NAME, _LONGEST_OF_MANY = 24, 20
_SMALL: dict[str, Any] = {"fontsize": 7, "title_fontsize": 7, "labelspacing": 0.25}
# Marks of up to so many prompts have this area, in square points, and a white edge.
_MOST_LARGE, _LARGE, _SMALLEST = 200, 26.0, 4.0


def pca(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """Draw each prompt with the colour and the marker of its category.

    Parameters
    ----------
    analysis
        Its components are drawn.
    ax
        Where to draw; by default in a new figure.

    Raises
    ------
    FigureError
        If the analysis has no components, or was saved before it kept their categories.
    """
    found = analysis.pca
    if found is None or found.categories is None:
        raise missing(analysis, figure="pca", part="pca")
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 4.2), layout="constrained").subplots()
        coordinates, labels = np.array(found.coordinates), np.array(found.categories, dtype=object)
        area = float(np.clip(_LARGE * _MOST_LARGE / len(coordinates), _SMALLEST, _LARGE))
        edge = 0.4 if area == _LARGE else 0.0
        marks = category_marks(found.categories)
        shown = shown_names(list(marks), most=_LONGEST_NAME if len(marks) <= _MOST_NAMES else _LONGEST_OF_MANY)
        for (name, (colour, marker)), label in zip(marks.items(), shown, strict=True):
            x, y = coordinates[labels == name].T
            axes.scatter(x, y, s=area, color=colour, marker=marker, linewidths=edge, edgecolors="white",
                         label=label)  # fmt: skip
        for place, share in enumerate(found.explained_variance_ratio, start=1):
            axes.set(
                **{
                    f"{'xy'[place - 1]}label": f"component {place} "
                    + f"({percent(share)} of the variance)".replace(" ", NO_BREAK)
                }
            )
        silhouette = "" if found.silhouette is None else f"\n(silhouette {number(found.silhouette)})"
        names = len(set(found.categories))
        if names <= DISTINCT_MARKS:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.2, title=f"category{silhouette}",
                        markerscale=(_LARGE / area) ** 0.5, **(_SMALL if names > _MOST_NAMES else {}))  # fmt: skip
        else:
            note_above(axes, f"{names} categories{silhouette}".replace("\n", " "))
        title = title_of("Principal components", analysis.signatures, sample=len(found.coordinates))
        set_title(axes, title, own_figure=ax is None)
        axes.margins(0.08)
        return axes
