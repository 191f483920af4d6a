"""Router scores beside the experts that were selected by them: what must hold of every token and layer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def have_greatest(scores: NDArray[np.floating], experts: NDArray[np.integer]) -> NDArray[np.bool_]:  # (tokens,)
    """Return whether no expert that a token was not sent to has a greater score than one that it was sent to.

    Rounding scores to fewer digits can make ties, and changes no order, so it holds of rounded scores exactly.

    Parameters
    ----------
    scores
        The scores of all experts of a layer ``(tokens, experts)``.
    experts
        The selected ones ``(tokens, k)``, −1 for no selection.
    """
    values = scores.astype(np.float32)
    token, place = np.nonzero(experts >= 0)
    selected = token, experts[token, place]
    least = np.full(len(values), np.inf, dtype=np.float32)
    np.minimum.at(least, token, values[selected])
    values[selected] = -np.inf
    held: NDArray[np.bool_] = least >= values.max(axis=1, initial=-np.inf)
    return held


def problem_of_scores(
    scores: NDArray[np.floating],
    experts: NDArray[np.integer],
    *,
    layers: Sequence[int],
    widths: Sequence[int],
    may_drop: bool = False,
) -> str | None:
    """Return what is wrong with router scores, None if nothing is.

    They must be numbers that half precision holds, or −∞ for an expert that the router ruled out, which then was not
    selected; and the selected experts must be those of the greatest scores.

    Parameters
    ----------
    scores
        ``(tokens, layers, experts)``: −∞ beyond the experts of a layer that has fewer than others.
    experts
        The selected experts ``(tokens, layers, k)``, −1 for no selection.
    layers, widths
        The index of each layer, and how many experts it has.
    may_drop
        Whether a token may be sent to fewer than k experts for another reason than its scores.
    """
    for place, (layer, width) in enumerate(zip(layers, widths, strict=True)):
        of_layer, chosen = scores[:, place, :width], experts[:, place]
        if np.isnan(of_layer).any() or np.isposinf(of_layer).any():
            return f"a router score of layer {layer} is no number that half precision holds, which ends at 65504"
        if not np.isneginf(scores[:, place, width:]).all():
            return f"layer {layer} has {width} experts, and scores of more"
        token, column = np.nonzero(chosen >= 0)
        if np.isneginf(of_layer[token, chosen[token, column]]).any():
            return f"layer {layer} selected an expert whose score rules it out"
        right = have_greatest(of_layer, chosen)
        if may_drop:
            right |= (chosen < 0).any(axis=1)
        if not right.all():
            return f"the experts that layer {layer} selected are not those of its greatest scores"
    return None
