"""Which selections of a layer a rule keeps, from their gate weights alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moexray.engines.rules import (
    Below,
    FixedK,
    LeaveOutRanks,
    OnDemand,
    PerLayer,
    RandomDrop,
    Rule,
    Skip,
    TopP,
    Without,
)
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
    make = _KEEPS.get(type(rule))
    if make is None:
        message = f"no layer can follow {type(rule).__name__}"
        raise ModelError(message)
    found: Keep | None = make(rule, _Where(tap, place, k, places))
    return found


@dataclass(frozen=True)
class _Where:
    """A layer: its tap, its place among the MoE layers, its selections at one pass, and what runs."""

    tap: Tap
    place: int
    k: int
    places: Places

    def own(self, value: Any) -> Any:
        """Return the layer's own value of one number for all layers, or one for each."""
        return value[self.place] if isinstance(value, tuple) else value


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


def _top_p(rule: TopP, _where: _Where) -> Keep | None:
    if rule.p >= 1:
        return None

    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        order = by_weight(weights)
        found = weights.gather(1, order).to(torch.float64)
        before = found.cumsum(1) - found
        return (before < rule.p * found.sum(1, keepdim=True)).gather(1, order.argsort(1))

    return keep


def _skip(rule: Skip, where: _Where) -> Keep | None:
    beta = where.own(rule.beta)
    return None if beta == 0 else lambda _experts, weights: weights >= beta * weights.amax(1, keepdim=True)


def _below(rule: Below, where: _Where) -> Keep | None:
    importance = rule.importance[where.place]
    if rule.threshold == 0:
        return None
    return lambda _experts, weights: weights.to(torch.float64) * importance >= rule.threshold


def _fewer(rule: FixedK | PerLayer, where: _Where) -> Keep | None:
    number = where.own(rule.k)
    return None if number >= where.k else lambda _experts, weights: _ranks(weights) < number


def _on_demand(rule: OnDemand, where: _Where) -> Keep | None:
    least, thresholds = rule.least[where.place], rule.thresholds[where.place]
    if least >= where.k:
        return None

    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        steps = torch.tensor(list(thresholds), dtype=torch.float64, device=weights.device)
        more = (entropies(weights)[:, None] > steps).sum(1, keepdim=True)
        return _ranks(weights) < least + more

    return keep


def _without_ranks(rule: LeaveOutRanks, _where: _Where) -> Keep | None:
    ranks = list(rule.ranks)
    return None if not ranks else lambda _experts, weights: ~_among(_ranks(weights), ranks)


def _without(rule: Without, where: _Where) -> Keep | None:
    left_out = list(rule.experts[where.tap.layer])
    return lambda experts, _weights: ~_among(experts, left_out)


def _random(rule: RandomDrop, where: _Where) -> Keep | None:
    """Keep selections at random: ⌊mean⌋ of them or one more, drawn for each token of each prompt."""
    mean, k, places = where.own(rule.mean_k), where.k, where.places
    if mean >= k:
        return None
    cursor = Cursor(places, where.tap.path, where.tap.calls)

    def keep(_experts: Tensor, weights: Tensor) -> Tensor:
        positions, call = cursor.next(len(weights))
        keys = np.broadcast_to(places.keys[places.rows][:, None], positions.shape)
        draws = uniforms(keys.ravel(), positions.ravel(), (rule.seed, where.tap.layer, call), k + 1)
        number = np.floor(mean) + (draws[:, -1] < mean - np.floor(mean))
        kept = draws[:, :-1].argsort(1).argsort(1) < number[:, None]  # by rank
        return torch.from_numpy(kept).to(weights.device).gather(1, _ranks(weights))

    return keep


_KEEPS: dict[type[Rule], Any] = {
    TopP: _top_p,
    Skip: _skip,
    Below: _below,
    FixedK: _fewer,
    PerLayer: _fewer,
    OnDemand: _on_demand,
    LeaveOutRanks: _without_ranks,
    Without: _without,
    RandomDrop: _random,
}
