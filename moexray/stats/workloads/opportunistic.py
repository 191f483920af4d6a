"""Opportunistic expert activation: tokens of a batch keep their first experts, and take more from what others keep.

Each token keeps its k0 experts of the highest score. The experts that some token of the batch keeps are read anyway;
each token then takes of these, in the order of its own scores, until it has k (arXiv:2511.02237).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Routed:
    """What tokens of one batch select.

    Attributes
    ----------
    distinct
        Distinct experts of the batch ``(layers,)``.
    experts
        Mean experts of a token ``(layers,)``.
    kept
        Share of the experts that tokens select without the rule which they still select ``(layers,)``.
    mass
        Sum of the scores of a token's experts under the rule, divided by that without it, all tokens together
        ``(layers,)``; of probabilities it is the share of router probability that is kept.
    """

    distinct: NDArray[np.float64]
    experts: NDArray[np.float64]
    kept: NDArray[np.float64]
    mass: NDArray[np.float64]


def score_order(scores: NDArray[np.floating], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:  # (…, experts)
    """Return experts by falling score; of equal ones, as half precision makes them, those come first that were chosen.

    Parameters
    ----------
    scores
        Of every expert ``(…, experts)``.
    chosen
        Which the router selected ``(…, experts)``.
    """
    return np.lexsort((~chosen, -scores.astype(np.float32)), axis=-1)


def opportunistic(
    order: NDArray[np.integer],
    scores: NDArray[np.floating],
    chosen: NDArray[np.bool_],
    *,
    k0: int,
    top_k: NDArray[np.integer],
) -> Routed:
    """Route the tokens of one batch.

    Parameters
    ----------
    order
        Of `score_order` ``(tokens, layers, experts)``.
    scores
        Of every expert ``(tokens, layers, experts)``. One that is −∞ or exactly 0 was ruled out by the router, and no
        token takes it.
    chosen
        What the router selected, `top_k` of each layer ``(tokens, layers, experts)``.
    k0
        Experts that each token keeps, at most the least of `top_k`.
    top_k
        Experts of a token ``(layers,)``.
    """
    first = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(first, order[..., :k0], values=True, axis=-1)
    read = first.any(axis=0)  # (layers, experts)
    values = np.where(np.isfinite(scores), scores, 0).astype(np.float64)
    may = (read & (values != 0)) | first
    in_order = np.take_along_axis(may, order, axis=-1)
    takes = in_order & (np.cumsum(in_order, axis=-1) <= top_k[:, None])
    under = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(under, order, takes, axis=-1)
    before = (values * chosen).sum(axis=(0, 2))
    return Routed(
        distinct=under.any(axis=0).sum(axis=-1).astype(np.float64),
        experts=under.sum(axis=-1).mean(axis=0),
        kept=(under & chosen).sum(axis=(0, 2)) / chosen.sum(axis=(0, 2)),
        mass=np.divide((values * under).sum(axis=(0, 2)), before, out=np.full(len(top_k), np.nan), where=before > 0),
    )
