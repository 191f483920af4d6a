"""Which experts are selected together, beside what their loads alone would give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

_ROUNDS, _ROUNDING = 1000, 1e-10


@dataclass(frozen=True)
class Coactivation:
    """One layer's pairs of experts, over all pairs of the selected k; the diagonals are not finite.

    Attributes
    ----------
    shares
        ``N(i, j) / N(i)``: the share of the tokens of i that j gets as well ``(experts, experts)``, i by row.
    expected
        The same, if loads alone decided.
    odds_ratio
        Odds that a token is sent to both, over those that loads alone give; above one for partners. Zero for a pair
        that never met, not finite where one of the two was never selected.
    """

    shares: NDArray[np.float64]
    expected: NDArray[np.float64]
    odds_ratio: NDArray[np.float64]


def coactivation(pairs: NDArray[np.integer], tokens: int) -> Coactivation:
    """Compare how often two experts are selected for one token with what their loads would give.

    N(i, j) / N(i) is the co-activation of arXiv:2409.02060, section 5.2. k experts of a token differ, so even where
    nothing but loads decides, two of them meet less often than independent ones would: the comparison is with the
    distribution over sets of k experts that has these loads and is else as random as can be, in which the chance of
    a set is the product of weights of its members (S. Chen, A. Dempster and J. Liu, Biometrika 81, 1994).

    Parameters
    ----------
    pairs
        How many tokens selected both i and j ``(experts, experts)``; on the diagonal, how many selected i.
    tokens
        How many there were; each selects as many experts.

    Raises
    ------
    NotComputable
        If there is no token, or each selects one expert only.
    """
    loads = np.diag(pairs).astype(np.float64)
    k = round(loads.sum() / tokens) if tokens else 0
    if k < 2:
        message = "no token selects two experts, so there are no pairs"
        raise NotComputable(message)
    together = pairs / tokens
    expected = pair_chances(loads / loads.sum() * k, k)
    diagonal = np.eye(len(loads), dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = together / (1 - together) / (expected / (1 - expected))
        shares, by_load = pairs / loads[:, None], expected / (loads / tokens)[:, None]
    for matrix in (shares, by_load, ratio):
        matrix[diagonal] = np.nan
    return Coactivation(shares, by_load, ratio)


def pair_chances(inclusion: NDArray[np.float64], k: int) -> NDArray[np.float64]:  # (experts, experts)
    """Chance that both of two experts are among the k, if no more than each one's own chance is known.

    Parameters
    ----------
    inclusion
        Chance of each ``(experts,)``, from 0 to 1, k in sum.
    k
        Experts of a token.
    """
    sure = inclusion > 1 - _ROUNDING
    free = ~sure & (inclusion > 0)
    left = k - int(sure.sum())
    chances = np.zeros((len(inclusion), len(inclusion)))
    chances[np.ix_(sure, sure)] = 1
    chances[np.ix_(sure, free)] = inclusion[free]
    chances[np.ix_(free, sure)] = inclusion[free][:, None]
    if left >= 2:
        chances[np.ix_(free, free)] = _free_pairs(inclusion[free], left)
    return chances


def _free_pairs(inclusion: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Find the weights that give the chances, by their fixed point, and from them the chances of pairs."""
    weights = inclusion / (1 - inclusion)
    weights /= weights.mean()
    for _ in range(_ROUNDS):
        every = _symmetric(weights, k)
        found = weights * _without(weights, k - 1) / every[k]
        if np.abs(found - inclusion).max() < _ROUNDING:
            break
        weights *= inclusion / found
        weights /= weights.mean()
    every = _symmetric(weights, k)
    chances = np.zeros((len(weights), len(weights)))
    for i, weight in enumerate(weights):
        others = np.delete(weights, i)
        chances[i, np.arange(len(weights)) != i] = weight * others * _without(others, k - 2) / every[k]
    return chances


def _symmetric(weights: NDArray[np.float64], most: int) -> NDArray[np.float64]:  # (most + 1,)
    """Sum the products of weights over all sets of 0, 1, … members."""
    sums = np.zeros(most + 1)
    sums[0] = 1
    for weight in weights:
        sums[1:] += weight * sums[:-1]
    return sums


def _without(weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:  # (experts,)
    """Sum them over sets of `size` members, each expert left out in turn, from what lies before and behind it."""
    before, behind = np.zeros((2, len(weights) + 1, size + 1))
    before[0, 0] = behind[-1, 0] = 1
    for i, weight in enumerate(weights):
        before[i + 1] = before[i]
        before[i + 1, 1:] += weight * before[i, :-1]
    for i in range(len(weights) - 1, -1, -1):
        behind[i] = behind[i + 1]
        behind[i, 1:] += weights[i] * behind[i + 1, :-1]
    return np.asarray((before[:-1] * behind[1:, ::-1]).sum(axis=1))
