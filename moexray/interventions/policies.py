"""Policies: ways to keep a share of the experts, and the rule of each from what was learnt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.engines.rules import (
    Below,
    ByKind,
    FixedK,
    Normalisation,
    OnDemand,
    PerLayer,
    RandomDrop,
    Rule,
    Skip,
    TopP,
    k_of_pass,
)
from moexray.errors import CaptureError, NotComputable
from moexray.routing import RouterLayout
from moexray.stats.workloads.allocation import allocate
from moexray.stats.workloads.budgets import entropy_steps, ratios_at_mean, share_at_mean, threshold_at_mean

# Shares by kind come to a tenth of a percent: one of 33.3 % of 3 experts is meant to be one expert.
_ROUNDING = 0.05 + 1e-9
POLICIES = ("k", "top-p", "skip", "entropy", "layers", "threshold", "random")


@dataclass(frozen=True)
class Learnt:
    """What the first half of the prompts says of all tokens, or of those of one kind.

    Attributes
    ----------
    weights
        Gate weights of tokens under full routing ``(tokens, layers, k)``.
    costs
        For each layer, by the number of experts that it alone keeps, the loss in nats a token that this adds; empty
        where it was not measured.
    importance
        For each layer, what leaving out all of its experts changes: see `Below`; empty where it was not measured.
    """

    weights: NDArray[np.float16]
    costs: tuple[dict[int, float], ...] = ()
    importance: tuple[float, ...] = ()


def means_of(layout: RouterLayout, keep: float) -> list[float]:
    """Return the mean number of experts of each layer that is this share, in percent, of what it selects at a pass.

    A share that is a whole number of experts but for the rounding of percents to a tenth is that number: of 3 experts,
    33.3 % and 33.33 % are one.

    Raises
    ------
    CaptureError
        If that is below one expert, or more than there are.
    """
    if not 0 < keep <= 100:
        message = f"`keep` is {keep:g}: a share of the experts is above 0 and at most 100 percent"
        raise CaptureError(message)
    means = [_mean(k, keep) for k in k_of_pass(layout)]
    for layer, k, mean in zip(layout.layers, k_of_pass(layout), means, strict=True):
        if mean < 1:
            message = (
                f"{keep:g} % of the {k} experts that layer {layer} selects for a token is below one expert: `keep` "
                f"{100 / k:.4g} or more"
            )
            raise CaptureError(message)
    return means


def _mean(k: int, keep: float) -> float:
    whole = round(k * keep / 100)
    return float(whole) if abs(keep - 100 * whole / k) <= _ROUNDING else k * keep / 100


def options_of(layout: RouterLayout, keeps: Sequence[float]) -> list[list[int]]:
    """Return the numbers of experts that each layer may keep: one, all, and those about each share."""
    options = []
    for place, k in enumerate(k_of_pass(layout)):
        wanted = [means_of(layout, keep)[place] for keep in keeps]
        options.append(sorted({1, k, *(int(np.floor(one)) for one in wanted), *(int(np.ceil(one)) for one in wanted)}))
    return options


def rule_of(
    policy: str, keep: float, layout: RouterLayout, learnt: Learnt, *, normalisation: Normalisation, seed: int
) -> Rule:
    """Return the rule of a policy that keeps a share of the experts, in percent.

    Parameters
    ----------
    policy
        One of `POLICIES`.
    keep, layout, learnt
        The share, the model's layers, and what was learnt.
    normalisation
        See `moexray.engines.rules.Rule`.
    seed
        Of random drops.

    Raises
    ------
    NotComputable
        If there is no such rule: a fixed k is a whole number.
    """
    means, k, weights = means_of(layout, keep), k_of_pass(layout), learnt.weights
    if policy == "k":
        return _fixed(means, keep, normalisation)
    if policy == "random":
        return RandomDrop(tuple(means), seed, normalisation=normalisation)
    make: dict[str, Callable[[], Rule]] = {
        "top-p": lambda: TopP(share_at_mean(weights, k, means), normalisation=normalisation),
        "skip": lambda: Skip(ratios_at_mean(weights, k, means), normalisation=normalisation),
        "entropy": lambda: OnDemand(*entropy_steps(weights, k, means), normalisation=normalisation),
        "layers": lambda: _allocated(learnt, means, normalisation),
        "threshold": lambda: Below(
            learnt.importance,
            threshold_at_mean(weights, k, means, learnt.importance),
            normalisation=normalisation,
        ),
    }
    return make[policy]()


def _allocated(learnt: Learnt, means: Sequence[float], normalisation: Normalisation) -> Rule:
    options = [sorted(one) for one in learnt.costs]
    costs = [[one[number] for number in sorted(one)] for one in learnt.costs]
    return PerLayer(allocate(costs, options, round(sum(means))), normalisation=normalisation)


def rule_by_kind(
    policy: str,
    keep: Mapping[str, float],
    layout: RouterLayout,
    learnt: Mapping[str, Learnt],
    *,
    normalisation: Normalisation,
    seed: int,
) -> Rule:
    """Return the rule of a policy that keeps a share of the experts of each kind of token; see `rule_of`.

    Raises
    ------
    NotComputable
        If there is no such rule, or nothing was learnt of a kind.
    """
    parts = {}
    for kind, share in keep.items():
        if not len(learnt[kind].weights):
            message = f"no {kind} token is among those that parameters are learnt from"
            raise NotComputable(message)
        parts[kind] = rule_of(policy, share, layout, learnt[kind], normalisation=normalisation, seed=seed)
    return ByKind(parts)


def _fixed(means: Sequence[float], keep: float, normalisation: Normalisation) -> Rule:
    if any(mean != int(mean) for mean in means):
        numbers = ", ".join(f"{one:g}" for one in sorted(set(means)))
        message = f"{keep:g} % of the experts is {numbers} a token, and a fixed k is a whole number"
        raise NotComputable(message)
    kept = tuple(int(mean) for mean in means)
    if len(set(kept)) == 1:
        return FixedK(kept[0], normalisation=normalisation)
    return PerLayer(kept, normalisation=normalisation)
