"""What placements cost each kind of token: the selections that leave the home of their kind."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from moexray.errors import FigureError
from moexray.studies.placement_results import PlacementStudy
from moexray.views.figures.style import COLOURS, MARKERS, figure_style, note_above, shown_name


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
    kinds = result.by_kind or ()
    names = [name for name, score in result.placements.items() if score is not None]
    drawn = [
        (one.tokens, [(row, score.sends) for row, name in enumerate(names) if (score := one.placements.get(name))])
        for one in kinds
    ]
    if not any(sends is not None for _, marks in drawn for _, sends in marks):
        message = "no figure by kind: the tokens under study are of one kind, or have no home"
        raise FigureError(message)
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 3.4), layout="constrained").subplots()
        step = 0.8 / len(drawn)
        for place, (tokens, marks) in enumerate(drawn):
            there = [(row, sends) for row, sends in marks if sends is not None]
            ends = [sends.ci or sends.range or (sends.value, sends.value) for _, sends in there]
            values = [sends.value for _, sends in there]
            axes.errorbar(
                values,
                [row + (place - (len(drawn) - 1) / 2) * step for row, _ in there],
                xerr=[
                    [max(value - low, 0) for value, (low, _) in zip(values, ends, strict=True)],
                    [max(high - value, 0) for value, (_, high) in zip(values, ends, strict=True)],
                ],
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=3.5,
                linewidth=0.9,
                linestyle="none",
                label=shown_name(tokens),
            )
        if result.closed_form is not None and result.closed_form.sends is not None:
            axes.axvline(result.closed_form.sends, color="0.6", linewidth=0.6)
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel="selections whose expert is off the home of their kind")
        note_above(axes, "bars: 95 % intervals, of random the range of draws; line: uniform routing")
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return axes
