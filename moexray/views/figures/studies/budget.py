"""What fewer experts cost: the loss that each policy adds, against the experts that a token has."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from moexray.errors import FigureError
from moexray.formats import count, number
from moexray.stats.pairs.summaries import Interval
from moexray.studies.budget_result import ALL, Budget, PolicyCost
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import COLOURS, figure_of, figure_style, note_above, set_title, shown_name

_MARKERS = "osD^vPX"
_BY_KIND = ", by kind"


def budget(result: Budget, ax: Axes | None = None) -> Axes:
    """Draw the loss that each policy adds against the mean number of experts, on logarithmic loss.

    An interval that holds 0 reaches the axis below; policies that add nothing are counted beside the title.

    Parameters
    ----------
    result
        Its policies are drawn with their 95 % intervals; hollow and unconnected where shares are by kind of token.
    ax
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    FigureError
        If no policy adds any loss that a logarithm can show.
    """
    names = list(dict.fromkeys(map(_series, result.policies)))
    policies = list(dict.fromkeys(one.policy for one in result.policies))
    points: dict[str, list[tuple[float, float, Interval | None]]] = {name: [] for name in names}
    for one in sorted(result.policies, key=lambda one: one.mean_k):
        change = one.loss[ALL]
        if change.mean is not None and change.mean > 0:
            points[_series(one)].append((one.mean_k, change.mean, change.ci))
    if not any(points.values()):
        message = "no figure of a budget: no policy adds to the loss"
        raise FigureError(message)
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 3.4), layout="constrained").subplots()
        model = shown_name(result.model or "unknown model")
        set_title(axes, f"What fewer experts cost\n{model}, {count(result.scored, 'prompt')}", own_figure=ax is None)
        bars: list[tuple[float, float, float, str]] = []
        for name in names:
            if not points[name]:
                continue
            policy = name.removesuffix(_BY_KIND)
            place = policies.index(policy)
            colour = "0.45" if policy == "random" else COLOURS[place % len(COLOURS)]
            how: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none"} if name != policy else {}
            experts, losses = [point[0] for point in points[name]], [point[1] for point in points[name]]
            marker = _MARKERS[place % len(_MARKERS)]
            axes.plot(
                experts,
                losses,
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=1,
                label="" if name != policy and points.get(policy) else name,  # one entry for both
                **how,
            )
            bars += [(mean_k, *ci, colour) for mean_k, _, ci in points[name] if ci is not None]
        axes.set_yscale("log")
        _draw_bars(axes, bars)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel="mean experts of a token", ylabel="loss added, nats a token")
        axes.axvline(result.full.mean_k, color="0.6", linewidth=0.6)
        by_kind = any(name not in policies and points[name] for name in names)
        hollow = "hollow: shares by kind of token; " if by_kind else ""
        nothing = len(result.policies) - sum(map(len, points.values()))
        not_drawn = f"not drawn: {nothing} that {'adds' if nothing == 1 else 'add'} no loss; " if nothing else ""
        note_above(axes, f"{not_drawn}{hollow}line: full routing, {number(result.full.mean_k)} experts")
        legend_below(axes, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def _draw_bars(axes: Axes, bars: Sequence[tuple[float, float, float, str]]) -> None:
    """Draw intervals; the lower end of one that holds 0, which a logarithm does not show, is below the panel."""
    ends = [end for _, low, high, _ in bars for end in (low, high) if end > 0]
    if ends:
        axes.update_datalim([(bars[0][0], min(ends)), (bars[0][0], max(ends))])
        axes.autoscale_view()
    bottom = axes.get_ylim()[0]
    for mean_k, low, high, colour in bars:
        axes.plot([mean_k, mean_k], [low if low > 0 else bottom, max(high, bottom)], color=colour, linewidth=0.8)
    axes.set_ylim(bottom=bottom)


def _series(one: PolicyCost) -> str:
    return one.policy if one.keep_kinds is None else one.policy + _BY_KIND
