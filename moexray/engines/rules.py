"""Routing rules: which of a router's selections an engine carries out, and with which weights.

A rule is plain data. An engine with the capability ``rules`` carries it out; its recording then shows the rule's own
selections, −1 where one is left out. *Rank* is the place of a selection in the order of falling gate weight, from 0.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from moexray.errors import CaptureError
from moexray.routing import RouterLayout

Normalisation = Literal["native", "kept", "rescaled"]
Meaning = Literal["skipped", "replaced"]
# Experts by the index of their decoder layer.
ExpertsByLayer = Mapping[int, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What all rules have.

    Attributes
    ----------
    normalisation
        The weights of the selections that are left: ``kept``, as they were; ``rescaled``, scaled so that they sum to
        what all k summed to; ``native``, as the model weighs fewer selections: rescaled where its router normalises
        over the selected experts, otherwise kept.
    layers
        Indices of the decoder layers that follow the rule; None for all MoE layers.
    """

    normalisation: Normalisation = "native"
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class FixedK(Rule):
    """Each token keeps `k` selections: with ``native``, the model's own router selects `k`; otherwise ranks below k."""

    k: int


@dataclass(frozen=True)
class PerLayer(Rule):
    """Each MoE layer keeps a number of selections of its own, one of `k` a layer; see `FixedK`."""

    k: tuple[int, ...]


@dataclass(frozen=True)
class TopP(Rule):
    """A token keeps the fewest selections, by falling weight, that hold the share `p` of its k gate weights."""

    p: float


@dataclass(frozen=True)
class Skip(Rule):
    """A selection is left out where its weight is below `beta` times the token's greatest (NAEE, arXiv:2402.14800).

    `beta` is one number, or one for each MoE layer.
    """

    beta: float | tuple[float, ...]


@dataclass(frozen=True)
class OnDemand(Rule):
    """A token keeps more selections, the higher the entropy of its k gate weights, each divided by their sum.

    Attributes
    ----------
    least
        Selections that every token keeps, for each MoE layer.
    thresholds
        Rising entropies in nats, for each MoE layer: a token keeps one selection more for each that its entropy
        exceeds.
    """

    least: tuple[int, ...]
    thresholds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RandomDrop(Rule):
    """A token keeps selections drawn at random, `mean_k` on average: the control of any rule with that mean.

    Each keeps ⌊mean_k⌋ selections or one more. Draws depend on `seed`, the prompt's id, the token's position and the
    layer, and on nothing that shares the batch. `mean_k` is one number, or one for each MoE layer.
    """

    mean_k: float | tuple[float, ...]
    seed: int = 0


@dataclass(frozen=True)
class LeaveOutRanks(Rule):
    """A token goes without its selections of these ranks: 0 is that of the greatest gate weight."""

    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Without(Rule):
    """No token is sent to the given `experts` of a layer.

    Attributes
    ----------
    experts
        By the index of the decoder layer.
    meaning
        ``skipped``: a selection of one of them is left out, and nothing takes its place. ``replaced``: the router
        chooses among the other experts, since the logits of these are minus infinity; weights are then the router's
        own (``native``).
    """

    experts: ExpertsByLayer
    meaning: Meaning = "skipped"


@dataclass(frozen=True)
class Given(Rule):
    """All tokens of a layer are sent to the given `experts`: the expert in place j gets the weight of rank j.

    `experts` is by the index of the decoder layer, at most k of a layer; other layers route as they do.
    """

    experts: ExpertsByLayer


def check_rule(rule: Rule, layout: RouterLayout) -> None:
    """Refuse a rule that does not fit a model.

    Raises
    ------
    CaptureError
        If it is no rule, names layers, experts or ranks that there are not, or holds a number out of range.
    """
    problem = _problem(rule, layout)
    if problem:
        message = f"rule {type(rule).__name__}: {problem}"
        raise CaptureError(message)


def described(rule: Rule) -> dict[str, Any]:
    """Return a rule as JSON values, by name."""
    values = {name: value for name, value in asdict(rule).items() if value is not None}
    for name, value in values.items():
        if isinstance(value, Mapping):
            values[name] = {str(layer): [int(one) for one in experts] for layer, experts in value.items()}
        elif isinstance(value, tuple):
            values[name] = [list(one) if isinstance(one, tuple) else one for one in value]
    return {"rule": type(rule).__name__, **values}


def layer_values(value: Any, layout: RouterLayout) -> list[Any]:
    """Return a rule's number for each MoE layer: its own where it has one each, otherwise the same."""
    return list(value) if isinstance(value, tuple) else [value] * len(layout.layers)


def k_of_pass(layout: RouterLayout) -> list[int]:
    """Return how many experts each MoE layer selects for a token at one pass."""
    return [k // passes for k, passes in zip(layout.top_k, layout.passes, strict=True)]


def _problem(rule: Rule, layout: RouterLayout) -> str | None:
    if type(rule) not in _CHECKS:
        return f"there is no such rule: there are {', '.join(sorted(one.__name__ for one in _CHECKS))}"
    if rule.normalisation not in get_args(Normalisation):
        return f"normalisation {rule.normalisation!r} is none of {', '.join(get_args(Normalisation))}"
    unknown = sorted(set(rule.layers or ()) - set(layout.layers))
    if unknown:
        return f"layer {unknown[0]} routes no token: the MoE layers are {_listed(layout.layers)}"
    for field in fields(rule):
        value = getattr(rule, field.name)
        numbers = isinstance(value, tuple) and field.name not in ("layers", "ranks")
        if numbers and len(value) != len(layout.layers):
            return f"{len(value)} values of {field.name}, but {len(layout.layers)} MoE layers"
    problem: str | None = _CHECKS[type(rule)](rule, layout)
    return problem


def _check_numbers(values: Sequence[Any], layout: RouterLayout) -> str | None:
    for layer, k, value in zip(layout.layers, k_of_pass(layout), values, strict=True):
        if not (isinstance(value, int | np.integer) and not isinstance(value, bool)):
            return f"k of layer {layer} is {value!r}, which is no whole number"
        if not 1 <= value <= k:
            return f"layer {layer} selects {k} experts for a token, so it can keep 1 to {k}, not {value}"
    return None


def _check_means(rule: RandomDrop, layout: RouterLayout) -> str | None:
    if rule.seed < 0:
        return f"the seed must be at least 0, not {rule.seed}"
    for layer, k, value in zip(layout.layers, k_of_pass(layout), layer_values(rule.mean_k, layout), strict=True):
        if not 1 <= value <= k:
            return f"layer {layer} selects {k} experts for a token, so a mean of 1 to {k} can be kept, not {value}"
    return None


def _check_on_demand(rule: OnDemand, layout: RouterLayout) -> str | None:
    for layer, k, least, steps in zip(layout.layers, k_of_pass(layout), rule.least, rule.thresholds, strict=True):
        if least < 1 or least + len(steps) > k:
            return f"layer {layer} selects {k} experts, so it cannot keep {least} to {least + len(steps)}"
        if not np.isfinite(steps).all() or list(steps) != sorted(steps):
            return f"the thresholds of layer {layer} are no rising finite numbers"
    return None


def _check_share(rule: TopP, _layout: RouterLayout) -> str | None:
    return None if 0 < rule.p <= 1 else f"p must be above 0 and at most 1, not {rule.p}"


def _check_skip(rule: Skip, layout: RouterLayout) -> str | None:
    wrong = [one for one in layer_values(rule.beta, layout) if not 0 <= one <= 1]
    return f"beta must be from 0 to 1, not {wrong[0]}" if wrong else None


def _check_ranks(rule: LeaveOutRanks, layout: RouterLayout) -> str | None:
    for layer, k in zip(layout.layers, k_of_pass(layout), strict=True):
        if rule.layers is None or layer in rule.layers:
            wrong = [one for one in rule.ranks if not 0 <= one < k]
            if wrong:
                return f"layer {layer} selects {k} experts: there is no rank {wrong[0]}"
    return None


def _check_experts(experts: ExpertsByLayer, layout: RouterLayout, layers: Collection[int] | None) -> str | None:
    if layers is not None:
        return "its experts name the layers: leave out `layers`"
    for layer, ids in experts.items():
        if layer not in layout.layers:
            return f"layer {layer} routes no token: the MoE layers are {_listed(layout.layers)}"
        number = layout.experts[layout.layers.index(layer)]
        wrong = [one for one in ids if not 0 <= one < number]
        if wrong:
            return f"layer {layer} has experts 0 to {number - 1}, not {wrong[0]}"
        if len(set(ids)) < len(ids):
            return f"an expert of layer {layer} is named twice"
    return None


def _check_without(rule: Without, layout: RouterLayout) -> str | None:
    if rule.meaning not in get_args(Meaning):
        return f"meaning {rule.meaning!r} is none of {', '.join(get_args(Meaning))}"
    if rule.meaning == "replaced" and rule.normalisation != "native":
        return "a router that chooses other experts weighs them itself: its normalisation is native"
    problem = _check_experts(rule.experts, layout, rule.layers)
    if problem is None and rule.meaning == "replaced":
        each = zip(layout.layers, layout.experts, k_of_pass(layout), strict=True)
        for layer, number, k in each:
            left = number - len(rule.experts.get(layer, ()))
            if left < k:
                return f"{left} experts would be left of layer {layer}, which selects {k} for a token"
    return problem


def _check_given(rule: Given, layout: RouterLayout) -> str | None:
    problem = _check_experts(rule.experts, layout, rule.layers)
    for layer, k, passes in zip(layout.layers, k_of_pass(layout), layout.passes, strict=True):
        number = len(rule.experts.get(layer, ()))
        if problem is None and layer in rule.experts and not 1 <= number <= k:
            problem = f"layer {layer} takes 1 to {k} experts for a token, not {number}"
        if problem is None and layer in rule.experts and passes > 1:
            problem = f"layer {layer} routes a token {passes} times, each time anew: no experts can be given"
    return problem


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))


_CHECKS: dict[type[Rule], Any] = {
    FixedK: lambda rule, layout: _check_numbers([rule.k] * len(layout.layers), layout),
    PerLayer: lambda rule, layout: _check_numbers(rule.k, layout),
    TopP: _check_share,
    Skip: _check_skip,
    OnDemand: _check_on_demand,
    RandomDrop: _check_means,
    LeaveOutRanks: _check_ranks,
    Without: _check_without,
    Given: _check_given,
}
