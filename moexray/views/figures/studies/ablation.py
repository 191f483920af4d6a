"""What text costs without some experts: each policy, its interval, and as many experts drawn at random."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.formats import count, visible
from moexray.studies.ablation_result import Ablation
from moexray.views.figures.style import COLOURS, figure_style, note_above, set_title, shown_name


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
        rows = len(result.policies)
        axes = ax or Figure(figsize=(5.6, 1.4 + 0.28 * max(rows, 6)), layout="constrained").subplots()
        model = visible(result.model or "unknown model")
        set_title(axes, f"Loss without some experts\n{model}, {count(result.prompts, 'prompt')}", own_figure=ax is None)
        if rows:
            _policies(axes, result)
        else:
            _active(axes, result)
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
    axes.set_yticks(places, [shown_name(one.policy) for one in result.policies])
    axes.set_xlabel("added loss, nats a token")
    note_above(axes, f"grey: {result.draws} draws of as many experts at random")


def _active(axes: Axes, result: Ablation) -> None:
    active = result.active or ()
    for place, number in enumerate(sorted({one.without for one in active})):
        some = [one for one in active if one.without == number]
        axes.plot(
            [one.layer for one in some], [one.added for one in some],
            color=COLOURS[place % len(COLOURS)], marker="o", markersize=3, label=f"without {number}",
        )  # fmt: skip
        axes.plot(
            [one.layer for one in some], [one.random for one in some],
            color=COLOURS[place % len(COLOURS)], linestyle=":", linewidth=0.9,
        )  # fmt: skip
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set(xlabel="MoE layer (index in the model)", ylabel="added loss, nats a token")
    axes.legend()
    note_above(axes, "dotted: as many of each token's selections, drawn at random")
