"""Hit rates of caches by capacity, a line for each policy."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.formats import count, percent, tokens_text
from moexray.studies.cache_report import CacheReport
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import (
    COLOURS,
    MARKERS,
    figure_of,
    figure_style,
    note_above,
    percent_beside,
    set_title,
    shade,
    shown_name,
)
from moexray.views.tables.caching import policy_name

# Of the width of the panel, for names of four digits.
_LEAST_APART = 0.09
# Drawn in this order; what is left out holds k experts, or is one of these with other numbers.
_DRAWN = ("belady", "lru_continued", "lfu", "lru", "static", "pinned")


def caching(result: CacheReport, ax: Axes | None = None) -> Axes:
    """Draw the hit rate of each policy by the share of all experts that fit, with its 95 % interval.

    Parameters
    ----------
    result
        Its caches of all layers together are drawn.
    ax
        Axes to draw on; by default those of a new figure.
    """
    total = result.together
    with figure_style():
        axes = ax or Figure(figsize=(5.2, 3.6), layout="constrained").subplots()
        title = (
            f"Hits of caches, {shown_name(tokens_text(result.tokens))}\n{shown_name(result.model or 'unknown model')}, "
        )
        set_title(axes, f"{title}{count(result.scored_prompts, 'prompt')} scored", own_figure=ax is None)
        for place, name in enumerate(_DRAWN):
            colour, ends = COLOURS[place], total.ci[name]
            axes.plot(total.share, total.hit_rate[name], color=colour, marker=MARKERS[place], markersize=3.5,
                      linewidth=1.1, label=policy_name(name))  # fmt: skip
            shade(axes, total.share, ends, colour=colour, alpha=0.15)
        alone = len(total.share) == 1
        axes.plot(total.share, total.hit_rate["chance"], color="0.5", linestyle="--", linewidth=0.9,
                  marker="_" if alone else "", label="chance")  # fmt: skip
        axes.axhline(result.wanted, color="0.6", linewidth=0.6)
        note_above(axes, f"shaded: 95 % intervals; line: {percent(result.wanted)} of selections")
        axes.set(xlabel=_below(result), ylabel="hits, of all selections", ylim=(0, 1.02))
        axes.set_xticks(*_ticks(result))
        percent_beside(axes)
        legend_below(axes, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def _below(result: CacheReport) -> str:
    of = "a layer" if _same(result) else "all layers"
    return f"experts that fit: of all of the model's, and how many of {of}"


def _ticks(result: CacheReport) -> tuple[list[float], list[str]]:
    """Return sizes whose names have room beside each other, from the largest down, and both of their names."""
    share, sizes = result.together.share, _shown(result)
    kept: list[int] = []
    for place in reversed(range(len(share))):
        if not kept or share[kept[-1]] - share[place] >= _LEAST_APART * (share[-1] - share[0]):
            kept.append(place)
    kept.reverse()
    return [share[place] for place in kept], [f"{percent(share[place])}\n{sizes[place]:,}" for place in kept]


def _same(result: CacheReport) -> bool:
    return len({one.capacities for one in result.layers}) == 1


def _shown(result: CacheReport) -> tuple[int, ...]:
    """Return capacities of one layer, where all have the same, and else of all layers."""
    return result.layers[0].capacities if _same(result) else result.together.capacities
