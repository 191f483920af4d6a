"""Prompts in the plane of their first two principal components."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.stats.categories.pca import PrincipalComponents
from moexray.views.figures.style import category_marks, figure_of, figure_style, set_title


def draw_pca(components: PrincipalComponents, labels: Sequence[str], *, title: str, axes: Axes | None = None) -> Figure:
    """Draw each prompt with the colour and the marker of its category."""
    with figure_style():
        target = axes or Figure(figsize=(5.2, 4.2), layout="constrained").subplots()
        marks = category_marks(labels)
        for name, (colour, marker) in marks.items():
            points = components.coordinates[np.array([label == name for label in labels])]
            target.scatter(
                points[:, 0],
                points[:, 1],
                s=26,
                color=colour,
                marker=marker,
                linewidths=0.4,
                edgecolors="white",
                label=name,
            )
        for axis, number, share in zip("xy", (1, 2), components.explained_variance_ratio, strict=True):
            target.set(**{f"{axis}label": f"component {number} ({share:.1%} of the variance)"})
        silhouette = "" if components.silhouette is None else f"\n(silhouette {components.silhouette:.2f})"
        target.legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.2, title=f"category{silhouette}")
        set_title(target, title, own_figure=axes is None)
        target.margins(0.08)
        return figure_of(target)
