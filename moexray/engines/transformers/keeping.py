"""Which selections of a layer a rule keeps, from their gate weights alone."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from moexray.engines.rules import LeaveOutRanks, OnDemand, RandomDrop, Rule, Skip, TopP, Without
from moexray.engines.transformers.draws import uniforms
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.places import Cursor, Places
from moexray.errors import ModelError

# From a layer's selections and their weights ``(rows, k)`` to which of them are kept ``(rows, k)``.
Keep = Callable[[Tensor, Tensor], Tensor]


def keep_of(rule: Rule, tap: Tap, *, place: int, k: int, places: Places) -> Keep | None:
    """Return which selections of a layer a rule keeps; None where it can leave out none.

    Parameters
    ----------
    rule
        The rule.
    tap, place, k
        The layer's tap, its place among the MoE layers, and its selections at one pass.
    places
        Which prompts and positions run.
    """
    if isinstance(rule, TopP):
        return None if rule.p >= 1 else _within_share(rule.p)
    if isinstance(rule, Skip):
        beta = rule.beta[place] if isinstance(rule.beta, tuple) else rule.beta
        return None if beta == 0 else _above(beta)
    if isinstance(rule, OnDemand):
        return None if rule.least[place] >= k else _by_entropy(rule.least[place], rule.thresholds[place])
    if isinstance(rule, LeaveOutRanks):
        ranks_left_out = list(rule.ranks)
        return None if not ranks_left_out else lambda _experts, weights: ~_among(_ranks(weights), ranks_left_out)
    if isinstance(rule, Without):
        experts_left_out = list(rule.experts[tap.layer])
        return lambda experts, _weights: ~_among(experts, experts_left_out)
    if isinstance(rule, RandomDrop):
        mean = rule.mean_k[place] if isinstance(rule.mean_k, tuple) else rule.mean_k
        return None if mean >= k else _drawn(mean, tap, k, seed=rule.seed, places=places)
    message = f"no layer can follow {type(rule).__name__}"
    raise ModelError(message)


def by_weight(weights: Tensor) -> Tensor:
    """Return the order of each row by falling weight ``(rows, k)``; equal weights stay in their order."""
    return weights.argsort(dim=1, descending=True, stable=True)


def entropies(weights: Tensor) -> Tensor:
    """Return the entropy in nats of each row of weights, divided by their sum, float64 ``(rows,)``."""
    shares = weights.to(torch.float64)
    shares = shares / shares.sum(1, keepdim=True)
    found: Tensor = torch.special.xlogy(shares, shares).sum(1)
    return -found


def _ranks(weights: Tensor) -> Tensor:
    """Return the rank of each selection by falling weight, from 0 ``(rows, k)``."""
    return by_weight(weights).argsort(dim=1)


def _among(values: Tensor, some: Sequence[int]) -> Tensor:
    return torch.isin(values, torch.tensor(some, dtype=values.dtype, device=values.device))


def _above(beta: float) -> Keep:
    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        return weights >= beta * weights.amax(1, keepdim=True)

    return keep


def _within_share(share: float) -> Keep:
    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        order = by_weight(weights)
        found = weights.gather(1, order).to(torch.float64)
        before = found.cumsum(1) - found
        return (before < share * found.sum(1, keepdim=True)).gather(1, order.argsort(1))

    return keep


def _by_entropy(least: int, thresholds: Sequence[float]) -> Keep:
    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        steps = torch.tensor(list(thresholds), dtype=torch.float64, device=weights.device)
        more = (entropies(weights)[:, None] > steps).sum(1, keepdim=True)
        return _ranks(weights) < least + more

    return keep


def _drawn(mean: float, tap: Tap, k: int, *, seed: int, places: Places) -> Keep:
    """Keep selections at random: ⌊mean⌋ of them or one more, drawn for each token of each prompt."""
    cursor = Cursor(places, tap.path, tap.calls)

    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        positions, call = cursor.next(len(weights))
        keys = np.broadcast_to(places.keys[places.rows][:, None], positions.shape)
        draws = uniforms(keys.ravel(), positions.ravel(), (seed, tap.layer, call), k + 1)
        number = np.floor(mean) + (draws[:, -1] < mean - np.floor(mean))
        kept = draws[:, :-1].argsort(1).argsort(1) < number[:, None]  # by rank
        return torch.from_numpy(kept).to(weights.device).gather(1, _ranks(weights))

    return keep
