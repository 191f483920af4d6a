"""Several captures of the same prompts: the effect of each, their mean, and where one more would fall."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.formats import count, number, p_text, tokens_text
from moexray.stats.inference.pooling import PooledEffect
from moexray.studies.pooling import Pooled
from moexray.views.figures.settling import settle
from moexray.views.figures.style import COLOURS, figure_of, figure_style, note_above, set_title, shown_name


def pool(result: Pooled, ax: Axes | None = None) -> Axes:
    """Draw Cohen's d of every capture with its 95 % interval, their mean, and the interval of one more capture.

    Parameters
    ----------
    result
        Its captures are drawn, the first above, and the mean and the new capture below them where they are known.
    ax
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If no capture has an effect size.
    """
    if all(one.cohens_d is None for one in result.captures):
        message = f"no figure of captures: {result.reason('effect') or 'no capture has an effect size'}"
        raise FigureError(message)
    with figure_style():
        rows = len(result.captures) + 2 * (result.effect is not None)
        axes = ax or Figure(figsize=(5.6, 1.3 + 0.26 * max(rows, 3)), layout="constrained").subplots()
        prompts = f"{count(result.prompts, 'prompt')}, {shown_name(tokens_text(result.phase))}"
        title = f"Category structure in {count(len(result.captures), 'capture')}\n{prompts}, {p_text(result.p_value)}"
        set_title(axes, title, own_figure=ax is None)
        for row, one in enumerate(result.captures):
            if one.ci is not None:
                axes.plot(one.ci, [row, row], color=COLOURS[0], linewidth=1.2)
            if one.cohens_d is not None:
                axes.plot(one.cohens_d, row, color=COLOURS[0], marker="o", markersize=4, linestyle="none")
        names = [f"{place}  {shown_name(one.model or 'unknown model')}" for place, one in enumerate(result.captures, 1)]
        if result.effect is not None:
            names += _together(axes, result.effect, len(result.captures))
        axes.axvline(0, color="0.6", linewidth=0.6)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0, labelsize=8)
        axes.set(xlabel="effect size (Cohen's d)")
        note_above(axes, "bars: 95 % intervals")
        if ax is None:
            settle(figure_of(axes))
        return axes


def _together(axes: Axes, effect: PooledEffect, first: int) -> list[str]:
    """Draw the mean and the interval of a new capture in the rows from `first`, and return their names."""
    axes.axhline(first - 0.5, color="0.6", linewidth=0.6)
    axes.axvline(effect.mean, color="0.35", linewidth=0.8, linestyle="--")
    axes.plot(effect.ci, [first, first], color="black", linewidth=1.6)
    axes.plot(effect.mean, first, color="black", marker="D", markersize=5, linestyle="none")
    axes.plot(effect.new_capture_ci, [first + 1] * 2, color="black", linewidth=1.0, linestyle=":", marker="|")
    return [f"mean (SD between {number(effect.between_sd)})", "one more capture"]
