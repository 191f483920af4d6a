"""What placements cost each kind of token: the selections that leave the home of their kind."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from moexray.errors import FigureError
from moexray.formats import count, tokens_text
from moexray.studies.placement_results import PlacementStudy
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import COLOURS, MARKERS, figure_of, figure_style, note_above, set_title, shown_name


def placement_kinds(result: PlacementStudy, ax: Axes | None = None) -> Axes:
    """Draw a row for each placement, with a mark for each kind of tokens: the share of its selections that leave home.

    Parameters
    ----------
    result
        Its `by_kind` is drawn, with intervals; random placements as their mean and the range of the draws.
    ax
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If the study has no kinds of tokens.
    """
    if not any(
        score is not None and score.sends is not None
        for one in result.by_kind or ()
        for score in one.placements.values()
    ):
        message = "no figure by kind: the tokens under study are of one kind, or have no home"
        raise FigureError(message)
    with figure_style():
        axes = ax or Figure(figsize=(5.6, rows_high(result)), layout="constrained").subplots()
        if ax is None:
            source = f"{shown_name(result.model or 'unknown model')}, {shown_name(tokens_text(result.tokens))}"
            what = f"Experts on {count(result.devices, 'device')}: what leaves the home of its kind"
            set_title(axes, f"{what}\n{source}", own_figure=True)
        draw_kinds(axes, result, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def rows_high(result: PlacementStudy) -> float:
    """Return the inches that the rows of placements take, with all that is around them."""
    rows = sum(score is not None for score in result.placements.values())
    return 1.6 + rows * max(0.3, 0.09 * len(result.by_kind or ()))


def draw_kinds(axes: Axes, result: PlacementStudy, *, own_figure: bool) -> None:
    """Draw the same on axes of a figure of our own, or of somebody's."""
    kinds = result.by_kind or ()
    names = [name for name, score in result.placements.items() if score is not None]
    step = 0.8 / max(len(kinds), 1)
    for place, one in enumerate(kinds):
        scores = [(row, one.placements.get(name)) for row, name in enumerate(names)]
        there = [(row, score.sends) for row, score in scores if score is not None and score.sends is not None]
        ends = [sends.ci or sends.range or (sends.value, sends.value) for _, sends in there]
        values = [sends.value for _, sends in there]
        axes.errorbar(
            values,
            [row + (place - (len(kinds) - 1) / 2) * step for row, _ in there],
            xerr=[
                [max(value - low, 0) for value, (low, _) in zip(values, ends, strict=True)],
                [max(high - value, 0) for value, (_, high) in zip(values, ends, strict=True)],
            ],
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=3.5,
            markeredgecolor="0.2",
            markeredgewidth=0.4,
            linewidth=0.9,
            linestyle="none",
            label=shown_name(one.tokens),
        )
    if result.closed_form is not None and result.closed_form.sends is not None:
        axes.axvline(result.closed_form.sends, color="0.6", linewidth=0.6)
    axes.set_yticks(range(len(names)), [shown_name(name.replace("_", " ")) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set(xlabel="selections whose expert is off the home of their kind")
    note_above(axes, "bars: 95 % intervals, of random 95 % of draws; line: uniform")
    legend_below(axes, own_figure=own_figure)
