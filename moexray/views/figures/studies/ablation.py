"""What text costs without some experts: each policy, its interval, and as many experts drawn at random."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.formats import count
from moexray.studies.ablation_result import Ablation
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import (
    COLOURS,
    MARKERS,
    figure_of,
    figure_style,
    layers_below,
    mark_size,
    note_above,
    set_title,
    shade,
    shown_name,
)


def ablation(result: Ablation, ax: Axes | None = None) -> Axes:
    """Draw the added loss of each policy with its 95 % interval, over the range of as many experts at random.

    Without policies, the added loss layer by layer is drawn.

    Parameters
    ----------
    result
        Its policies are drawn.
    ax
        Axes to draw on; by default those of a new figure.
    """
    with figure_style():
        rows = len(result.policies) or 7
        axes = ax or Figure(figsize=(5.6, 1.4 + 0.28 * max(rows, 3)), layout="constrained").subplots()
        model = shown_name(result.model or "unknown model")
        set_title(axes, f"Loss without some experts\n{model}, {count(result.prompts, 'prompt')}", own_figure=ax is None)
        if result.policies:
            _policies(axes, result)
        else:
            _active(axes, result, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def _policies(axes: Axes, result: Ablation) -> None:
    places = np.arange(len(result.policies))[::-1]
    random = [one.random_overall for one in result.policies]
    axes.barh(
        places, [one.most - one.least for one in random], left=[one.least for one in random], height=0.6, color="0.85"
    )
    axes.plot([one.mean for one in random], places, linestyle="", marker="|", color="0.4", markersize=9)
    for place, one in zip(places, result.policies, strict=True):
        if one.overall.ci is not None:
            axes.plot(one.overall.ci, [place, place], color=COLOURS[0], linewidth=1.2)
        axes.plot(one.overall.mean, place, color=COLOURS[0], marker="o", markersize=4)
    axes.axvline(0, color="0.6", linewidth=0.6)
    few = max(3 - len(places), 0) / 2  # the bars of fewer rows would be as high as the panel
    axes.set_ylim(-0.5 - few, len(places) - 0.5 + few)
    axes.set_yticks(places, [shown_name(one.policy) for one in result.policies])
    axes.set_xlabel("added loss, nats a token")
    note_above(axes, f"grey: {result.draws} draws of as many experts at random, and their mean")


def _active(axes: Axes, result: Ablation, *, own_figure: bool) -> None:
    active = result.active or ()
    size = mark_size(len({one.layer for one in active})) - 1
    for place, number in enumerate(sorted({one.without for one in active})):
        some = [one for one in active if one.without == number]
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.plot(
            [one.layer for one in some], [one.added for one in some],
            color=colour, marker=marker, markersize=size, linewidth=1.1, label=f"without {number}",
        )  # fmt: skip
        shade(axes, [one.layer for one in some], [one.added_ci for one in some], colour=colour, alpha=0.12)
        axes.plot(
            [one.layer for one in some], [one.random for one in some],
            color=colour, linestyle=":", linewidth=0.9,
        )  # fmt: skip
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set(ylabel="added loss, nats a token")
    layers_below(axes)
    legend_below(axes, own_figure=own_figure)
    note_above(axes, "shaded: 95 % intervals; dotted: as many selections drawn at random")
