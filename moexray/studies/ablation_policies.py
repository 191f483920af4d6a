"""Which experts an ablation leaves out: by how little prompts use them, by what was chosen, or at random."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.stats.experts.pruning import experts_in_share, least, most_redundant
from moexray.studies.ablation_measured import Ablatable, Experts, Intervention, Usage
from moexray.studies.ablation_result import Kind

# By name, what a ranking leaves out.
RANKINGS: Mapping[str, str] = {
    "coldest": "experts with the fewest selections",
    "hottest": "experts with the most selections",
    "lightest": "experts with the least gate weight",
    "redundant": "experts whose tokens mostly select another one too",
    "category": "experts that each category selects least, one ranking for each",
    "reap": "experts with the least mean of gate weight × norm of output (REAP, arXiv:2510.13999)",
}


@dataclass(frozen=True)
class Policy:
    """A name, its kind, and what is changed."""

    name: str
    kind: Kind
    change: Intervention

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Each layer that is changed, and how many of its experts are named."""
        return tuple(sorted((layer, len(experts)) for layer, experts in self.change.experts.items()))


def ranked_policies(
    model: Ablatable, usage: Usage, labels: Sequence[str], rankings: Sequence[str], share: float
) -> list[Policy]:
    """Return the policy of each ranking; ``category`` gives one for each category.

    Parameters
    ----------
    model
        The model.
    usage
        What rankings are learnt from.
    labels
        The category of each of its prompts.
    rankings
        Names of `RANKINGS`.
    share
        Share of every layer's experts to leave out.

    Raises
    ------
    AnalysisError
        If a name is none of `RANKINGS`, the share leaves out no expert, or no token that is counted selects any.
    """
    numbers = [experts_in_share(share, experts) for experts in model.experts]
    if not any(numbers):
        message = f"`share` is {share:g}, which is less than one of {max(model.experts)} experts: raise it"
        raise AnalysisError(message)
    counts = usage.counts.sum(axis=0)
    _check_used(model, counts)
    policies = []
    for name in rankings:
        if name not in RANKINGS:
            message = f"there is no ranking {name!r}: there are {', '.join(RANKINGS)}"
            raise AnalysisError(message)
        if name == "category":
            policies += _by_category(model, usage, labels, numbers)
            continue
        values: dict[str, Callable[[int], tuple[int, ...]]] = {
            "coldest": lambda i: least(counts[i, : model.experts[i]], numbers[i]),
            "hottest": lambda i: least(-counts[i, : model.experts[i]], numbers[i]),
            "lightest": lambda i: least(usage.mass[i, : model.experts[i]], numbers[i]),
            "redundant": lambda i: most_redundant(
                usage.pairs[i, : model.experts[i], : model.experts[i]].copy(), numbers[i]
            ),
            "reap": lambda i: least(_norms(usage)[i, : model.experts[i]], numbers[i]),
        }
        policies.append(_without(name, model, values[name]))
    return policies


def unranked(usage: Usage, labels: Sequence[str]) -> list[str]:
    """Return the categories whose prompts select no expert in some layer, so that experts of it cannot be ranked."""
    names = np.array(labels)
    return [name for name in sorted(set(labels)) if not usage.counts[names == name].any(axis=(0, 2)).all()]


def chosen_policies(model: Ablatable, without: Experts | None, forced: Experts | None) -> list[Policy]:
    """Return the policies of experts that were named.

    Raises
    ------
    AnalysisError
        If a layer or an expert is not there, or more are forced than the layer selects.
    """
    policies = []
    if without:
        _check(model, without)
        policies.append(Policy("chosen", "chosen", Intervention("without", _sorted(without))))
    if forced:
        _check(model, forced)
        for layer, experts in forced.items():
            k = model.top_k[model.layers.index(layer)]
            if len(experts) > k:
                message = f"{len(experts)} experts are forced in layer {layer}, which sends a token to {k}"
                raise AnalysisError(message)
        policies.append(Policy("forced", "forced", Intervention("forced", _sorted(forced))))
    return policies


def random_policy(policy: Policy, model: Ablatable, rng: Generator) -> Policy:
    """Return a policy of as many experts of each layer, drawn."""
    drawn = {
        layer: tuple(sorted(rng.permutation(model.experts[model.layers.index(layer)])[:number].tolist()))
        for layer, number in policy.sizes
    }
    return Policy("random", policy.kind, Intervention(policy.change.kind, drawn))


def check_left(model: Ablatable, policy: Policy) -> None:
    """Refuse a policy whose routers would have too few experts to choose from.

    Raises
    ------
    AnalysisError
        If a layer would have fewer experts than it selects for a token.
    """
    for layer, number in policy.sizes:
        place = model.layers.index(layer)
        left = model.experts[place] - number
        if policy.change.kind == "without" and left < model.top_k[place]:
            message = (
                f"{left} experts would be left of layer {layer}, which selects {model.top_k[place]} for a token: leave "
                "out fewer"
            )
            raise AnalysisError(message)


def _check_used(model: Ablatable, counts: NDArray[np.int64]) -> None:
    """Refuse counts ``(layers, experts)`` without a selection in some layer: all experts would be used equally."""
    for layer, used in zip(model.layers, np.asarray(counts.any(axis=1)), strict=True):
        if not used:
            message = (
                f"no token whose use of experts is counted selects any in layer {layer}, in the half of the prompts "
                "that rankings are learnt from: give more prompts with such tokens, or name experts with `without`"
            )
            raise AnalysisError(message)


def _by_category(model: Ablatable, usage: Usage, labels: Sequence[str], numbers: Sequence[int]) -> list[Policy]:
    names = [name for name in sorted(set(labels)) if name not in unranked(usage, labels)]
    of_category = {name: usage.counts[np.array(labels) == name].sum(axis=0) for name in names}
    return [_without(f"least used by {name}", model, _least_of(of_category[name], model, numbers)) for name in names]


def _least_of(counts: NDArray[np.int64], model: Ablatable, numbers: Sequence[int]) -> Callable[[int], tuple[int, ...]]:
    return lambda i: least(counts[i, : model.experts[i]], numbers[i])


def _without(name: str, model: Ablatable, choose: Callable[[int], tuple[int, ...]]) -> Policy:
    """Return a policy without the experts that a function names for the place of each layer."""
    found = {layer: choose(place) for place, layer in enumerate(model.layers)}
    return Policy(name, "ranking", Intervention("without", {layer: ids for layer, ids in found.items() if ids}))


def _norms(usage: Usage) -> NDArray[np.float64]:
    if usage.norms is None:
        message = "the norms of the experts' outputs were not measured"
        raise AnalysisError(message)
    return usage.norms


def _check(model: Ablatable, experts: Experts) -> None:
    for layer, ids in experts.items():
        if layer not in model.layers:
            message = f"layer {layer} routes no token: the MoE layers are {', '.join(map(str, model.layers))}"
            raise AnalysisError(message)
        number = model.experts[model.layers.index(layer)]
        wrong = [one for one in ids if not 0 <= one < number]
        if wrong:
            message = f"layer {layer} has experts 0 to {number - 1}, not {wrong[0]}"
            raise AnalysisError(message)
        if len(set(ids)) < len(ids):
            message = f"an expert of layer {layer} is named twice"
            raise AnalysisError(message)


def _sorted(experts: Experts) -> dict[int, tuple[int, ...]]:
    return {layer: tuple(ids) for layer, ids in sorted(experts.items())}
