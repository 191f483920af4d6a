"""Two captures compared, layer by layer: how alike they route, and how far their loads are apart."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from moexray.formats import count, tokens_text
from moexray.stats.pairs.summaries import Interval
from moexray.studies.comparison import ComparedLayer, Comparison
from moexray.studies.limits import LEVEL
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import (
    COLOURS,
    MARKERS,
    Panels,
    figure_of,
    figure_style,
    layers_below,
    mark_size,
    note_above,
    set_title,
    shade,
    shown_name,
    two_panels,
)

# More corpora have no room in a legend, and no marks of their own.
_MOST_CORPORA = 12


def comparison(result: Comparison, ax: Panels | None = None) -> Panels:
    """Draw similarity, and agreement of tokens where it is known, above, and the divergence of loads below.

    Below, the dashed line is what chance alone makes of one router, and an open mark has p ≥ 0.05. Tables of counts
    have a line for each corpus, and nothing that chance could be.

    Parameters
    ----------
    result
        Its layers are drawn, with their 95 % intervals.
    ax
        Two axes, above and below; by default those of a new figure.
    """
    with figure_style():
        upper, lower = ax or two_panels()
        first, second = (shown_name(model or "unknown model") for model in result.models)
        about = "" if result.prompts is None else f", {count(result.prompts, 'prompt')}"
        of = "" if result.phase is None else f", {shown_name(tokens_text(result.phase))}"
        set_title(upper, f"Two captures, layer by layer{of}{about}\n{first} and {second}", own_figure=ax is None)
        corpora = list(dict.fromkeys(one.corpus for one in result.layers))
        lower.set(ylabel="divergence of loads,\nJensen–Shannon, bits")
        layers_below(lower)
        if corpora == [None]:
            _one_router(upper, lower, result.layers)
        else:
            _by_corpus(upper, lower, {name or "": _of(result.layers, name) for name in corpora})
        lower.set_ylim(bottom=0)
        legend_below(lower, own_figure=ax is None)
        if ax is None:
            settle(figure_of(lower))
        return upper, lower


def _one_router(upper: Axes, lower: Axes, layers: Sequence[ComparedLayer]) -> None:
    index, size = [one.layer for one in layers], mark_size(len(layers))
    _line(upper, index, [one.similarity for one in layers], [one.similarity_ci for one in layers], place=0)
    agreed = [one.agreement for one in layers]
    if any(one is not None for one in agreed):
        _line(upper, index, agreed, [one.agreement_ci for one in layers], place=1)
        for place, name in enumerate(("cosine of a prompt's two signatures", "share of a token's experts in both")):
            lower.plot([], [], color=COLOURS[place], marker=MARKERS[place], markersize=4, label=name)
        upper.set(ylabel="similarity")
    else:
        upper.set(ylabel="cosine of a prompt's\ntwo signatures")
    if any(one.similarity_ci is not None or one.agreement_ci is not None for one in layers):
        note_above(upper, "shaded: 95 % intervals")
    lower.plot(index, [one.jensen_shannon for one in layers], color=COLOURS[2], linewidth=1.2)
    for filled in (True, False):
        some = [one for one in layers if (one.p_value is None or one.p_value < LEVEL) is filled]
        lower.plot(
            [one.layer for one in some], [one.jensen_shannon for one in some], color=COLOURS[2], marker="^",
            markersize=size, linestyle="none", markerfacecolor=COLOURS[2] if filled else "white",
        )  # fmt: skip
    notes = ["open: p ≥ 0.05"] if any(one.p_value is not None and one.p_value >= LEVEL for one in layers) else []
    if any(one.jensen_shannon_expected is not None for one in layers):
        expected = _numbers([one.jensen_shannon_expected for one in layers])
        lower.plot(index, expected, color="0.35", linestyle="--", linewidth=0.9, marker="_" if len(index) == 1 else "")
        notes.append("dashed: by chance alone")
    if notes:
        note_above(lower, ", ".join(notes))


def _by_corpus(upper: Axes, lower: Axes, corpora: dict[str, list[ComparedLayer]]) -> None:
    few = len(corpora) <= _MOST_CORPORA
    for place, (name, layers) in enumerate(corpora.items()):
        index = [one.layer for one in layers]
        how = {
            "color": COLOURS[place % len(COLOURS)] if few else "0.5",
            "marker": MARKERS[place] if few else "",
            "markersize": mark_size(len(index)),
            "linewidth": 1.0 if few else 0.5,
        }
        upper.plot(index, [one.similarity for one in layers], **how)  # type: ignore[arg-type]
        label = shown_name(name) if few else ""
        lower.plot(index, [one.jensen_shannon for one in layers], label=label, **how)  # type: ignore[arg-type]
    upper.set(ylabel="cosine of the loads")
    if not few:
        note_above(upper, f"a line for each of {len(corpora):,} corpora")


def _line(
    axes: Axes, index: Sequence[int], values: Sequence[float | None], ends: Sequence[Interval | None], *, place: int
) -> None:
    """Draw values with their intervals in the colour and with the mark of a place in the list."""
    colour = COLOURS[place]
    axes.plot(index, _numbers(values), color=colour, marker=MARKERS[place], markersize=mark_size(len(index)))
    shade(axes, index, ends, colour=colour, alpha=0.18)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _of(layers: Sequence[ComparedLayer], corpus: str | None) -> list[ComparedLayer]:
    return [one for one in layers if one.corpus == corpus]
