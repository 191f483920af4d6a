"""Figure `token_identity`: the gain of the same-token test, and the share of the separation, of every layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from moexray.formats import percent, span
from moexray.stats.tokens.share import TokenShare
from moexray.studies.analysis import Analysis
from moexray.studies.sections.same_token import SameToken
from moexray.views.figures.style import (
    COLOURS,
    NO_BREAK,
    Panels,
    figure_style,
    layers_below,
    mark_size,
    missing,
    note_above,
    percent_beside,
    set_title,
    shade,
    title_of,
    two_panels,
)


def token_identity(analysis: Analysis, ax: Panels | None = None) -> Panels:
    """Draw the gain of the same-token test above, with its null, and the range of what token identity explains below.

    Parameters
    ----------
    analysis
        Its control of token identity is drawn; a part of it that is None leaves its axes empty.
    ax
        Two axes, above and below; by default those of a new figure.

    Raises
    ------
    FigureError
        If the analysis has no such control: it needs a trace.
    """
    found = analysis.controls.token_identity if analysis.controls is not None else None
    if found is None or (found.same_token is None and found.share is None):
        part = "controls.token_identity"
        raise missing(analysis, figure="token_identity", part=part if found is None else f"{part}.same_token")
    with figure_style():
        upper, lower = ax or two_panels()
        title = title_of("Token identity by layer", analysis.signatures)
        set_title(upper, title, own_figure=ax is None)
        if found.same_token is not None:
            _gains(upper, found.same_token)
        upper.axhline(0, color="0.6", linewidth=0.6)
        upper.set(ylabel="experts in common,\nwithin - across")
        if found.share is not None:
            _shares(lower, analysis.signatures.layers, found.share)
        lower.set(ylabel="token identity's share\nof separation")
        percent_beside(lower)
        sampled = analysis.notes.get("controls.token_identity")
        layers_below(lower, f"share: {sampled}" if sampled and found.share is not None else "")
        return upper, lower


def _gains(axes: Axes, found: SameToken) -> None:
    index = [one.layer for one in found.by_layer]
    shade(axes, index, [one.null_ci for one in found.by_layer], colour="0.75")
    gains = [one.gain for one in found.by_layer]
    axes.plot(index, gains, marker="o", markersize=mark_size(len(index)), color=COLOURS[0])
    note_above(axes, "shaded: 95 % of permuted labels")


def _shares(axes: Axes, index: Sequence[int], found: TokenShare) -> None:
    low = np.array(found.by_layer, dtype=np.float64)
    axes.plot(index, low, marker="s", markersize=mark_size(len(index)), color=COLOURS[1])
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.axhline(found.share, color="0.35", linewidth=0.8, linestyle="--")
    if found.high is not None and found.high_by_layer is not None:
        high = np.array(found.high_by_layer, dtype=np.float64)
        shade(axes, index, np.stack([low, high], axis=1).tolist(), colour=COLOURS[1], alpha=0.25)
        axes.plot(index, high, marker="^", markersize=mark_size(len(index)), color=COLOURS[1])
        axes.axhline(found.high, color="0.35", linewidth=0.8, linestyle="--")
    ends = span((found.share, found.ci), (found.high, found.high_ci), write=percent)
    note_above(axes, f"dashed: all layers, {ends}".replace(" %", f"{NO_BREAK}%"))
