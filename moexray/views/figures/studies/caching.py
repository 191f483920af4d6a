"""Hit rates of caches by capacity, a line for each policy."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from moexray.formats import count, tokens_text, visible
from moexray.studies.cache_report import CacheReport
from moexray.views.figures.style import COLOURS, MARKERS, figure_style, percent_beside, set_title
from moexray.views.tables.caching import policy_name

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
        title = f"Hits of caches, {tokens_text(result.tokens)}\n{visible(result.model or 'unknown model')}, "
        set_title(axes, f"{title}{count(result.scored_prompts, 'prompt')} scored", own_figure=ax is None)
        for place, name in enumerate(_DRAWN):
            colour, ends = COLOURS[place], total.ci[name]
            axes.plot(total.share, total.hit_rate[name], color=colour, marker=MARKERS[place], markersize=3.5,
                      linewidth=1.1, label=policy_name(name))  # fmt: skip
            known = [(x, *ci) for x, ci in zip(total.share, ends, strict=True) if ci is not None]
            if known:
                where, low, high = map(list, zip(*known, strict=True))
                axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(total.share, total.hit_rate["chance"], color="0.5", linestyle="--", linewidth=0.9, label="chance")
        axes.axhline(result.wanted, color="0.6", linewidth=0.6)
        axes.set(xlabel="experts that fit, of all of the model's", ylabel="hits, of all selections", ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        percent_beside(axes)
        upper = axes.secondary_xaxis("top")
        upper.set_xticks(total.share, [f"{one:,}" for one in _shown(result)])
        upper.set_xlabel("experts of a layer" if _same(result) else "experts of all layers")
        axes.legend(loc="lower right")
        return axes


def _same(result: CacheReport) -> bool:
    return len({one.capacities for one in result.layers}) == 1


def _shown(result: CacheReport) -> tuple[int, ...]:
    """Return capacities of one layer, where all have the same, and else of all layers."""
    return result.layers[0].capacities if _same(result) else result.together.capacities
