"""Co-activation: pairs of experts selected for the same token, compared with what their loads alone would give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

_ROUNDS, _ROUNDING = 1000, 1e-10


@dataclass(frozen=True)
class Coactivation:
    """Pairs of experts of one layer; the diagonals are not finite.

    Attributes
    ----------
    shares
        ``N(i, j) / N(i)``: the share of the tokens of expert i that also select j ``(experts, experts)``, i by row.
    expected
        The same, under a router that depends on loads alone.
    odds_ratio
        Odds that a token selects both, divided by those under loads alone; above one for partners. Zero for a pair that
        never occurs together, one for a pair that every token selects, not finite where one of the two was never
        selected.
    """

    shares: NDArray[np.float64]
    expected: NDArray[np.float64]
    odds_ratio: NDArray[np.float64]


def coactivation(pairs: NDArray[np.integer], tokens: int) -> Coactivation:
    """Compare how often two experts are selected for the same token with the expectation from their loads.

    N(i, j) / N(i) is the co-activation of arXiv:2409.02060, section 5.2. The k experts of a token are distinct, so even
    under loads alone two of them occur together less often than independent ones. The expectation is of the
    maximum-entropy distribution over sets of k experts with these loads, in which the probability of a set is
    proportional to a product of weights of its members (S. Chen, A. Dempster and J. Liu, Biometrika 81, 1994).

    Parameters
    ----------
    pairs
        Number of tokens that selected both i and j ``(experts, experts)``; on the diagonal, that selected i.
    tokens
        Number of tokens, each of which selects the same number of experts.

    Raises
    ------
    NotComputable
        If there is no token, or each selects a single expert.
    """
    loads = np.diag(pairs).astype(np.float64)
    k = round(loads.sum() / tokens) if tokens else 0
    if k < 2:
        message = "no token selects two experts, so there are no pairs"
        raise NotComputable(message)
    together = pairs / tokens
    expected = pair_probabilities(loads / loads.sum() * k, k)
    diagonal, always = np.eye(len(loads), dtype=bool), (pairs == tokens)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = together / (1 - together) / (expected / (1 - expected))
        shares, by_load = pairs / loads[:, None], expected / (loads / tokens)[:, None]
    ratio[always] = 1
    for matrix in (shares, by_load, ratio):
        matrix[diagonal] = np.nan
    return Coactivation(shares, by_load, ratio)


def pair_probabilities(inclusion: NDArray[np.float64], k: int) -> NDArray[np.float64]:  # (experts, experts)
    """Return the probability that two experts are both among the k, under maximum entropy given that of each.

    Parameters
    ----------
    inclusion
        Probability of each expert ``(experts,)``; the sum is k.
    k
        Experts of a token.
    """
    sure = inclusion > 1 - _ROUNDING
    free = ~sure & (inclusion > 0)
    left = k - int(sure.sum())
    probabilities = np.zeros((len(inclusion), len(inclusion)))
    probabilities[np.ix_(sure, sure)] = 1
    probabilities[np.ix_(sure, free)] = inclusion[free]
    probabilities[np.ix_(free, sure)] = inclusion[free][:, None]
    if left >= 2:
        probabilities[np.ix_(free, free)] = _free_pairs(inclusion[free], left)
    return probabilities


def _free_pairs(inclusion: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Find the weights with these inclusion probabilities by fixed-point iteration, then the pair probabilities."""
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
    probabilities = np.zeros((len(weights), len(weights)))
    for i, weight in enumerate(weights):
        others = np.delete(weights, i)
        probabilities[i, np.arange(len(weights)) != i] = weight * others * _without(others, k - 2) / every[k]
    return probabilities


def _symmetric(weights: NDArray[np.float64], most: int) -> NDArray[np.float64]:  # (most + 1,)
    """Elementary symmetric polynomials: sums of products of weights over all sets of 0, 1, … members."""
    sums = np.zeros(most + 1)
    sums[0] = 1
    for weight in weights:
        sums[1:] += weight * sums[:-1]
    return sums


def _without(weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:  # (experts,)
    """Return the polynomial of degree `size` with each expert left out in turn, from those of both sides of it."""
    before, behind = np.zeros((2, len(weights) + 1, size + 1))
    before[0, 0] = behind[-1, 0] = 1
    for i, weight in enumerate(weights):
        before[i + 1] = before[i]
        before[i + 1, 1:] += weight * before[i, :-1]
    for i in range(len(weights) - 1, -1, -1):
        behind[i] = behind[i + 1]
        behind[i, 1:] += weights[i] * behind[i + 1, :-1]
    return np.asarray((before[:-1] * behind[1:, ::-1]).sum(axis=1))
