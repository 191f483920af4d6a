"""Policies: ways to keep a share of the experts, and the rule of each from what was learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.engines.rules import FixedK, Normalisation, OnDemand, PerLayer, RandomDrop, Rule, Skip, TopP, k_of_pass
from moexray.errors import CaptureError, NotComputable
from moexray.routing import RouterLayout
from moexray.stats.workloads.allocation import allocate
from moexray.stats.workloads.budgets import entropy_steps, ratios_at_mean, share_at_mean

POLICIES = ("k", "top-p", "skip", "entropy", "layers", "random")


@dataclass(frozen=True)
class Learnt:
    """What the first half of the prompts says.

    Attributes
    ----------
    weights
        Gate weights of tokens under full routing ``(tokens, layers, k)``.
    costs
        For each layer, by the number of experts that it alone keeps, the loss in nats a token that this adds; empty
        where it was not measured.
    """

    weights: NDArray[np.float16]
    costs: tuple[dict[int, float], ...] = ()


def means_of(layout: RouterLayout, keep: float) -> list[float]:
    """Return the mean number of experts of each layer that is this share, in percent, of what it selects at a pass.

    Raises
    ------
    CaptureError
        If that is below one expert, or more than there are.
    """
    if not 0 < keep <= 100:
        message = f"`keep` is {keep:g}: a share of the experts is above 0 and at most 100 percent"
        raise CaptureError(message)
    for layer, k in zip(layout.layers, k_of_pass(layout), strict=True):
        if k * keep / 100 < 1:
            message = (
                f"{keep:g} % of the {k} experts that layer {layer} selects for a token is below one expert: `keep` "
                f"{100 / k:.4g} or more"
            )
            raise CaptureError(message)
    return [k * keep / 100 for k in k_of_pass(layout)]


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
    means, k = means_of(layout, keep), k_of_pass(layout)
    if policy == "k":
        return _fixed(means, keep, normalisation)
    if policy == "top-p":
        return TopP(share_at_mean(learnt.weights, k, means), normalisation=normalisation)
    if policy == "skip":
        return Skip(ratios_at_mean(learnt.weights, k, means), normalisation=normalisation)
    if policy == "entropy":
        return OnDemand(*entropy_steps(learnt.weights, k, means), normalisation=normalisation)
    if policy == "layers":
        options = [sorted(one) for one in learnt.costs]
        costs = [[one[number] for number in sorted(one)] for one in learnt.costs]
        return PerLayer(allocate(costs, options, round(sum(means))), normalisation=normalisation)
    return RandomDrop(tuple(means), seed, normalisation=normalisation)


def _fixed(means: Sequence[float], keep: float, normalisation: Normalisation) -> Rule:
    if any(mean != int(mean) for mean in means):
        numbers = ", ".join(f"{one:g}" for one in sorted(set(means)))
        message = f"{keep:g} % of the experts is {numbers} a token, and a fixed k is a whole number"
        raise NotComputable(message)
    kept = tuple(int(mean) for mean in means)
    if len(set(kept)) == 1:
        return FixedK(kept[0], normalisation=normalisation)
    return PerLayer(kept, normalisation=normalisation)
