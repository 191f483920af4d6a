"""Whether a routing rule fits a model."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any, get_args

import numpy as np

from moexray.engines.rules import (
    Below,
    ByKind,
    ExpertsByLayer,
    FixedK,
    Given,
    LeaveOutRanks,
    Meaning,
    Normalisation,
    OnDemand,
    PerLayer,
    RandomDrop,
    Rule,
    Skip,
    TopP,
    Without,
    k_of_pass,
    layer_values,
)
from moexray.errors import CaptureError
from moexray.routing import RouterLayout


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


def _check_below(rule: Below, _layout: RouterLayout) -> str | None:
    wrong = [one for one in rule.importance if not (np.isfinite(one) and one >= 0)]
    if wrong:
        return f"the importance of a layer is a finite number of at least 0, not {wrong[0]}"
    fits = np.isfinite(rule.threshold) and rule.threshold >= 0
    return None if fits else f"the threshold must be a finite number of at least 0, not {rule.threshold}"


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


def _check_kinds(rule: ByKind, layout: RouterLayout) -> str | None:
    if rule.layers is not None or rule.normalisation != "native":
        return "the rule of each kind names its own layers and normalisation: leave them out here"
    kinds = list(dict.fromkeys(one.kind for one in layout.segments))
    for kind, part in rule.rules.items():
        if kind not in kinds:
            pictures = ": open the engine with `images`" if kind == "image" else ""
            return f"no token of this engine is of kind {kind!r}, there are {', '.join(kinds)}{pictures}"
        if isinstance(part, ByKind):
            return f"the rule of {kind} tokens is by kind itself"
        problem = _problem(part, layout)
        if problem is not None:
            return f"of {kind} tokens, {type(part).__name__}: {problem}"
    return None


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))


_CHECKS: dict[type[Rule], Any] = {
    FixedK: lambda rule, layout: _check_numbers([rule.k] * len(layout.layers), layout),
    PerLayer: lambda rule, layout: _check_numbers(rule.k, layout),
    TopP: _check_share,
    Skip: _check_skip,
    Below: _check_below,
    OnDemand: _check_on_demand,
    RandomDrop: _check_means,
    LeaveOutRanks: _check_ranks,
    Without: _check_without,
    Given: _check_given,
    ByKind: _check_kinds,
}
