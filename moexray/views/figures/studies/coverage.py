"""The share of selections that the most used experts take, and how stable the least used half is, by layer."""

import numpy as np
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.formats import count
from moexray.studies.coverage_report import Coverage
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import (
    COLOURS,
    Panels,
    doublings_below,
    figure_of,
    figure_style,
    layers_below,
    mark_size,
    note_above,
    percent_beside,
    set_title,
    shade,
    shown_name,
)


def coverage(result: Coverage, ax: Panels | None = None) -> Panels:
    """Draw the share that the most used experts take by their number, and the overlap of the least used half by layer.

    Parameters
    ----------
    result
        Its `most_used` and `stability` are drawn.
    ax
        A pair of axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If neither was computed.
    """
    used, stable = result.most_used, result.stability
    if used is None or stable is None:
        part = "most_used" if used is None else "stability"
        message = f"no figure of coverage: {result.reason(part) or 'it was not computed'}"
        raise FigureError(message)
    with figure_style():
        left, right = ax or Figure(figsize=(7.6, 3.3), layout="constrained").subplots(1, 2)
        title = f"Coverage of experts\n{shown_name(result.model or 'unknown model')}, {count(result.prompts, 'prompt')}"
        set_title(left, title, own_figure=ax is None)
        shade(left, used.numbers, used.ci, colour=COLOURS[0], alpha=0.2)
        left.plot(used.numbers, used.share, color=COLOURS[0], marker="o", markersize=3, label="other half of prompts")
        left.plot(used.numbers, used.same_prompts, color=COLOURS[1], linestyle="--", linewidth=0.9, label="same half")
        left.plot(used.numbers, used.even, color="0.35", linestyle=":", linewidth=0.9, label="even load")
        doublings_below(left, used.numbers)
        left.set(xlabel="most used experts of a layer", ylabel="share of selections")
        if any(ci is not None for ci in used.ci):
            note_above(left, "shaded: 95 % intervals")
        legend_below(left, own_figure=ax is None)
        layers = [one.layer for one in stable.layers]
        shade(right, layers, [one.chance_range for one in stable.layers], colour="0.85", label="chance, 95 %")
        for label, values, colour, marker in (
            ("halves of the prompts", [one.halves for one in stable.layers], COLOURS[0], "o"),
            ("halves of a category", [one.same_category for one in stable.layers], COLOURS[2], "^"),
            ("two categories", [one.other_category for one in stable.layers], COLOURS[1], "s"),
        ):
            if any(value is not None for value in values):
                right.plot(
                    layers,
                    np.array(values, dtype=np.float64),
                    color=colour,
                    marker=marker,
                    markersize=mark_size(len(layers)) - 1,
                    linewidth=0.9,
                    label=label,
                )
        layers_below(right)
        right.set(ylabel="overlap of the least used half", ylim=(0, 1.02))
        legend_below(right, own_figure=ax is None)
        for axes in (left, right):
            percent_beside(axes)
        if ax is None:
            settle(figure_of(left))
        return left, right
