"""Distinct experts by the size of a batch, and what batches of one size read by how they are put together."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.formats import count, number
from moexray.studies.batch_curves import MeanCurve, Values
from moexray.studies.batch_groups import Grouped, Grouping
from moexray.studies.batch_report import Batching
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import (
    COLOURS,
    Panels,
    doublings_below,
    figure_of,
    figure_style,
    note_above,
    set_title,
    shade,
    shown_name,
)


def batching(result: Batching, ax: Panels | None = None) -> Panels:
    """Draw distinct experts of decoding and of prefill by size, with the closed forms; beside it, groupings.

    Parameters
    ----------
    result
        Its means of layers are drawn, with their 95 % intervals.
    ax
        A pair of axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If there is neither a batch nor a chunk.
    """
    curves: list[tuple[str, MeanCurve, str, str]] = [("decoding: prompts of a batch", result.mean, COLOURS[0], "o")]
    if result.prefill is not None:
        curves.append(("prefill: tokens in a row", result.prefill.mean, COLOURS[1], "s"))
    curves = [curve for curve in curves if any(value is not None for value in curve[1].observed)]
    if not curves:
        message = "no figure of batches: there is no batch and no chunk to draw"
        raise FigureError(message)
    with figure_style():
        left, right = ax or _panels(result)
        model = shown_name(result.model or "unknown model")
        title = f"Distinct experts a layer\n{model}, {count(result.prompts, 'prompt')}"
        set_title(left, title, own_figure=ax is None)
        for label, mean, colour, marker in curves:
            sizes, observed = _known(mean.sizes, mean.observed)
            ends = [ci for ci, value in zip(mean.observed_ci, mean.observed, strict=True) if value is not None]
            shade(left, sizes, ends, colour=colour, alpha=0.2)
            left.plot(sizes, observed, color=colour, marker=marker, markersize=3, label=label)
        closed = result.mean if any(value is not None for value in result.mean.observed) else curves[0][1]
        for label, values, style in (("load alone", closed.load_matched, "--"), ("even load", closed.uniform, ":")):
            of = f"{label}, {'decoding' if closed is result.mean else 'prefill'}"  # each phase has its own load
            left.plot(*_known(closed.sizes, values), color="0.35", linestyle=style, linewidth=0.9, label=of)
        shown = sorted({size for _, mean, _, _ in curves for size in _known(mean.sizes, mean.observed)[0]})
        doublings_below(left, shown)
        left.set(xlabel="prompts of a batch, or tokens in a row", ylabel="distinct experts, mean of layers")
        left.set_ylim(bottom=0)
        if any(ci is not None for _, mean, _, _ in curves for ci in mean.observed_ci):
            note_above(left, "shaded: 95 % intervals")
        legend_below(left, own_figure=ax is None)
        if result.grouping is None:
            right.set_axis_off()
        else:
            _bars(right, result.grouping)
        if ax is None:
            settle(figure_of(left))
        return left, right


def _panels(result: Batching) -> Panels:
    """Return the panels of a new figure; without groups the second has no room."""
    alone = result.grouping is None
    figure = Figure(figsize=(4.6 if alone else 7.6, 3.2), layout="constrained")
    if alone:
        return figure.subplots(), figure.add_axes((0.99, 0.99, 0.01, 0.01))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    return left, right


def _bars(axes: Axes, found: Grouping) -> None:
    """Draw what each way of grouping reads, with its interval, and a line at random batches."""
    parts: list[tuple[str, Grouped | None]] = [
        ("at random", found.random),
        ("one category", found.category),
        ("prefill signature", found.signature),
        ("2-means of two", found.hamming),
        ("oracle", found.oracle),
    ]
    there = [(name, part) for name, part in parts if part is not None]
    for place, (_, part) in enumerate(there):
        axes.barh(place, part.experts, color="0.6" if part is found.random else COLOURS[0], height=0.6)
        if part.ci is not None:
            axes.plot(part.ci, [place, place], color="black", linewidth=0.9)
        end = part.experts if part.ci is None else part.ci[1]
        axes.annotate(
            number(part.experts, 1), (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axes.axvline(found.random.experts, color="0.35", linewidth=0.6, zorder=0.5)
    axes.margins(x=0.25)
    axes.set_yticks(range(len(there)), [name for name, _ in there])
    axes.invert_yaxis()
    axes.set(xlabel=f"distinct experts, batches of {found.size}")
    if any(part.ci is not None for _, part in there):
        note_above(axes, "lines: 95 % intervals")


def _known(sizes: tuple[int, ...], values: Values) -> tuple[list[int], list[float]]:
    pairs = [(size, value) for size, value in zip(sizes, values, strict=True) if value is not None]
    return [size for size, _ in pairs], [value for _, value in pairs]
