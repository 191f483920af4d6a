"""Ablation: a model without some experts, or with its tokens sent to given ones, beside experts drawn at random."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.formats import listed
from moexray.studies.ablation_losses import Runs
from moexray.studies.ablation_measured import Ablatable, Experts, Intervention, Outcome
from moexray.studies.ablation_policies import (
    Policy,
    check_left,
    chosen_policies,
    random_policy,
    ranked_policies,
    unranked,
)
from moexray.studies.ablation_result import (
    ALL,
    AblatedPolicy,
    Ablation,
    ActiveLoss,
    Example,
    Full,
)
from moexray.studies.cohort import stream
from moexray.studies.halves import Halves, all_scored, halves_of

# Fewer say little of where a ranking stands among them.
LEAST_DRAWS = 10


@dataclass(frozen=True)
class Ablated:
    """What is left out, and how it is measured.

    Attributes
    ----------
    rankings, share
        Names of `moexray.studies.ablation_policies.RANKINGS`, and the share of every layer's experts that each leaves
        out.
    without, forced
        Experts that are left out, and experts that all tokens are sent to, by layer.
    active
        How many of each token's greatest selections are left out, in one layer at a time.
    draws
        Draws of as many experts at random, at least 10.
    write
        Whether greedy texts are compared.
    seed
        Of the halves and the draws.
    """

    rankings: tuple[str, ...] = ()
    share: float = 0.25
    without: Experts | None = None
    forced: Experts | None = None
    active: tuple[int, ...] = ()
    draws: int = LEAST_DRAWS
    write: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Prompts:
    """The category, group, id and text of each prompt, and whether their outputs were given."""

    labels: Sequence[str]
    groups: Sequence[str] | None
    ids: Sequence[str]
    texts: Sequence[str]
    given: bool


def ablate(
    model: Ablatable,
    prompts: Prompts,
    asked: Ablated,
    *,
    description: Mapping[str, str | int | None],
    learnt: Mapping[str, Experts] | None = None,
    notes: Mapping[str, str] | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Ablation:
    """Measure what text costs a model without some of its experts: see docs/ablate.md.

    Rankings are learnt on half of the units, and everything is scored on the other half. Without a ranking that is
    learnt here, all prompts are scored.

    Parameters
    ----------
    model
        The model with these prompts.
    prompts
        What is known of them.
    asked
        What is left out.
    description
        ``model``, ``fingerprint``, ``meaning``, ``normalisation``, ``new_tokens`` and ``kind`` of the result.
    learnt
        Rankings that were learnt elsewhere: experts to leave out, by name; see `moexray.studies.ablation_sources`.
    notes
        What to keep in mind of them.
    on_step
        Called with the name of each step.

    Raises
    ------
    AnalysisError
        If nothing is asked for, or it cannot be done.
    NotComputable
        If there are fewer than two units.
    """
    announce = on_step or (lambda _name: None)
    policies = chosen_policies(model, asked.without, asked.forced)
    policies += [Policy(name, "ranking", Intervention("without", experts)) for name, experts in (learnt or {}).items()]
    if not (policies or asked.rankings or asked.active):
        message = "nothing is left out: name a ranking, experts or a number of selections"
        raise AnalysisError(message)
    if ALL in prompts.labels:
        message = f"a category is called {ALL!r}, which stands for the prompts of all: call it otherwise"
        raise AnalysisError(message)
    if asked.draws < LEAST_DRAWS:
        message = f"`draws` is {asked.draws}: fewer than {LEAST_DRAWS} say little of where a ranking stands among them"
        raise AnalysisError(message)
    if not prompts.labels:
        message = "there are no prompts"
        raise AnalysisError(message)
    _check_active(model, asked.active)
    halves = _halves(prompts, asked)
    if asked.rankings:
        announce("learning rankings")
        usage = model.usage(halves.learnt, norms="reap" in asked.rankings)
        labels = [prompts.labels[i] for i in halves.learnt]
        policies += ranked_policies(model, usage, labels, asked.rankings, asked.share)
        notes = {**(notes or {}), **(_unranked(unranked(usage, labels)) if "category" in asked.rankings else {})}
    for policy in policies:
        check_left(model, policy)
    runs = Runs(model, halves, prompts.labels, announce)
    announce("the whole model")
    full = model.run(halves.scored, None, write=asked.write and bool(policies))
    base = runs.sums(full, [])
    _check_scored(runs.names, base.sum(axis=0)[:, 0])
    controls = _Controls(runs, draws=asked.draws, seed=asked.seed)
    measured = [_measured(policy, runs, full, controls, description) for policy in policies]
    found = tuple(policy for policy, _ in measured)
    losses = {policy.policy: loss for policy, loss in measured}
    both = "hottest" in losses and "coldest" in losses
    active = _active_losses(runs, full, asked.active, asked.seed)
    example = _example(prompts, halves, full)
    return Ablation(
        model=_text(description["model"]),
        layers=model.layers,
        experts=model.experts,
        top_k=model.top_k,
        prompts=len(halves.scored),
        learnt_prompts=len(halves.learnt),
        tokens=int(full.tokens.sum()),
        categories=runs.names,
        scored="outputs" if prompts.given else "prompts",
        meaning="skipped" if description["meaning"] == "skipped" else "replaced",
        share=asked.share if asked.rankings or learnt else None,
        draws=asked.draws,
        new_tokens=int(description["new_tokens"] or 0) if full.written is not None else 0,
        seed=asked.seed,
        full=Full(
            loss={
                ALL: _mean(base.sum(axis=(0, 1))),
                **{name: _mean(base.sum(axis=0)[i]) for i, name in enumerate(runs.names)},
            },
            mean_k=full.mean_k,
            text=None if example is None or full.texts is None else full.texts[0],
        ),
        policies=found,
        usage=runs.contrast(full, losses["hottest"], losses["coldest"]) if both else None,
        active=active or None,
        example=example,
        fingerprint=_text(description["fingerprint"]),
        kind=_text(description.get("kind")),
        notes={
            **(notes or {}),
            **_unscored(prompts.labels, runs.names),
            **_unchanged(full, description),
            **_notes(found),
        },
    )


class _Controls:
    """Losses of experts drawn at random, once for each number of experts in the layers."""

    def __init__(self, runs: Runs, *, draws: int, seed: int) -> None:
        self._runs, self._draws, self._seed = runs, draws, seed
        self._known: dict[tuple[str, tuple[tuple[int, int], ...]], list[NDArray[np.float64]]] = {}

    def of(self, policy: Policy) -> list[NDArray[np.float64]]:
        """Return the losses of each draw ``(scored prompts,)``."""
        key = policy.change.kind, policy.sizes
        if key not in self._known:
            rng = stream(self._seed, f"ablation.{key}")
            losses = []
            for draw in range(self._draws):
                self._runs.announce(f"at random, draw {draw + 1} of {self._draws}")
                change = random_policy(policy, self._runs.model, rng).change
                losses.append(self._runs.run(change, write=False).losses)
            self._known[key] = losses
        return self._known[key]


def _check_scored(names: Sequence[str], tokens: NDArray[np.float64]) -> None:
    """Refuse a category without a scored token: it has no loss."""
    for name, number in zip(names, tokens, strict=True):
        if not number:
            message = f"no token of category {name!r} is scored: its prompts have one token, or empty outputs"
            raise AnalysisError(message)


def _check_active(model: Ablatable, numbers: Sequence[int]) -> None:
    """Refuse numbers of selections that would leave a layer without any."""
    for layer, k in zip(model.layers, model.top_k, strict=True):
        wrong = [number for number in numbers if not 1 <= number < k]
        if wrong:
            message = f"layer {layer} sends a token to {k} experts: 1 to {k - 1} can be left out, not {wrong[0]}"
            raise AnalysisError(message)
    if len(set(numbers)) < len(numbers):
        message = "a number of selections to leave out is named twice"
        raise AnalysisError(message)


def _halves(prompts: Prompts, asked: Ablated) -> Halves:
    if not asked.rankings:
        return all_scored(prompts.labels, prompts.groups)
    return halves_of(prompts.labels, prompts.groups, stream(asked.seed, "ablation.halves"))


def _measured(
    policy: Policy, runs: Runs, full: Outcome, controls: _Controls, description: Mapping[str, str | int | None]
) -> tuple[AblatedPolicy, NDArray[np.float64]]:
    """Return what a policy costs, and its losses of the scored prompts."""
    runs.announce(policy.name)
    outcome = runs.run(policy.change, write=full.written is not None)
    drawn = controls.of(policy)
    sums = runs.sums(full, [outcome.losses, *drawn])
    by_name = {ALL: sums.sum(axis=1), **{name: sums[:, i] for i, name in enumerate(runs.names)}}
    agreement, agreement_ci = runs.agreement(full, outcome)
    result = AblatedPolicy(
        policy=policy.name,
        kind=policy.kind,
        normalisation=str(description["normalisation"]),
        experts={str(layer): experts for layer, experts in policy.change.experts.items()},
        mean_k=outcome.mean_k,
        loss={name: runs.loss(of) for name, of in by_name.items()},
        random={name: runs.at_random(of) for name, of in by_name.items()},
        agreement=agreement,
        agreement_ci=agreement_ci,
        text=None if outcome.texts is None else outcome.texts[0],
        kinds=outcome.kinds,
    )
    return result, outcome.losses


def _active_losses(runs: Runs, full: Outcome, numbers: Sequence[int], seed: int) -> tuple[ActiveLoss, ...]:
    """Return what is added layer by layer without the greatest selections; all of a layer are never left out."""
    found = []
    for layer in runs.model.layers:
        for number in numbers:
            runs.announce(f"layer {layer} without {number} of its selections")
            greatest = runs.run(Intervention("ranks", layers=(layer,), ranks=number), write=False)
            drawn = runs.run(Intervention("drawn", layers=(layer,), ranks=number, seed=seed), write=False)
            sums = runs.sums(full, [greatest.losses, drawn.losses]).sum(axis=1)
            loss, random = runs.loss(sums), runs.at_random(sums)
            found.append(ActiveLoss(layer, number, loss.mean, loss.ci, random.mean, random.excess, random.excess_ci))
    return tuple(found)


def _mean(sums: NDArray[np.float64]) -> float:
    return float(sums[1] / sums[0])


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _example(prompts: Prompts, halves: Halves, full: Outcome) -> Example | None:
    if full.texts is None:
        return None
    first = int(halves.scored[0])
    return Example(prompts.ids[first], prompts.texts[first])


def _unscored(labels: Sequence[str], scored: Sequence[str]) -> dict[str, str]:
    names = sorted(set(labels) - set(scored))
    return {"categories": f"{listed(names)}: of one unit, which is learnt from, so it is not scored"} if names else {}


def _unranked(names: Sequence[str]) -> dict[str, str]:
    said = f"{listed(names)}: no token that is learnt from selects experts in every layer, so there is no ranking by it"
    return {"policies.category": said} if names else {}


def _unchanged(full: Outcome, description: Mapping[str, str | int | None]) -> dict[str, str]:
    """Note where no scored token is of the kind whose routing is changed."""
    kind = _text(description.get("kind"))
    if kind is None or full.kinds is None or full.kinds.get(kind) is not None:
        return {}
    return {"kind": f"no scored prompt holds {kind} tokens, so no routing changed: what is added says nothing"}


def _notes(policies: Sequence[AblatedPolicy]) -> dict[str, str]:
    notes = {}
    if any(one.overall.ci is None for one in policies):
        notes["policies.ci"] = "a category has fewer than three units: no interval can be had"
    return notes
