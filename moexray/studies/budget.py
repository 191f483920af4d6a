"""Budgets: what it costs, in loss and in changed text, to send each token to fewer experts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from moexray.formats import count, estimate
from moexray.stats.pairs.summaries import Interval
from moexray.stats.workloads.distinct import distinct_experts
from moexray.studies.budget_measured import Measured
from moexray.studies.halves import Halves
from moexray.studies.results import Result
from moexray.studies.unit_blocks import UnitBlocks

ALL = "all"
# Of batches whose distinct experts are counted.
SIZES = (1, 2, 4, 8, 16, 32, 64)

_FEW_UNITS = "a category has fewer than three scored units: no interval can be had of it, nor of all"

Losses = Mapping[str, float | None]


@dataclass(frozen=True)
class LossChange:
    """What a policy adds to the loss, in nats a token.

    Attributes
    ----------
    mean
        Mean loss of a token minus that with full routing, over the same tokens.
    ci
        Its 95 % interval over units.
    loss
        Mean loss under the policy.
    """

    mean: float | None
    ci: Interval | None
    loss: float | None


@dataclass(frozen=True)
class Agreement:
    """How much of the text that full routing writes a policy writes as well, greedily.

    Attributes
    ----------
    tokens, tokens_ci
        Share of the generated tokens before the first that differs.
    texts, texts_ci
        Share of the texts that are equal.
    """

    tokens: float
    tokens_ci: Interval | None
    texts: float
    texts_ci: Interval | None


@dataclass(frozen=True)
class FullRouting:
    """Full routing: what the policies are compared with.

    Attributes
    ----------
    loss, segments
        Mean loss of a token in nats, by category and by segment.
    mean_k
        Mean number of experts of a token and layer.
    distinct
        Mean distinct experts of a batch of generated tokens, by its size; None where there are too few prompts.
    seconds
        Median seconds of a run, by the size of the batch.
    """

    loss: Losses
    segments: Losses
    mean_k: float
    distinct: Losses
    seconds: Losses


@dataclass(frozen=True)
class PolicyCost:
    """What a policy costs.

    Attributes
    ----------
    policy, keep
        Its name, and the share of full routing's experts that it was made for, in percent.
    mean_k, layers_k
        Mean number of experts of a token, recorded while the texts were scored: of all layers, and of each.
    normalisation
        How the experts that are left are weighed.
    rule
        The rule, with the parameters that were learnt.
    loss, segments
        What it adds to the loss, by category and by segment.
    against_random
        Its loss minus that of random drops for the same share, over the same tokens; None where they were not run.
    agreement
        None where no text was generated.
    distinct
        See `FullRouting`.
    seconds_ratio
        Median ratio of its seconds to those of full routing in the same turn, by the size of the batch.
    seconds_range
        The least and the greatest of these ratios.
    """

    policy: str
    keep: float
    mean_k: float
    layers_k: tuple[float, ...]
    normalisation: str
    rule: Mapping[str, Any]
    loss: Mapping[str, LossChange]
    segments: Mapping[str, LossChange]
    against_random: LossChange | None
    agreement: Agreement | None
    distinct: Losses
    seconds_ratio: Losses
    seconds_range: Mapping[str, Interval | None]


@dataclass(frozen=True, repr=False, kw_only=True)
class Budget(Result):
    """What fewer experts cost.

    Attributes
    ----------
    model, dtype, device, experts_implementation
        What ran.
    layers, experts, top_k
        Indices of the MoE layers, and the experts and k of each.
    prompts, learnt, scored
        All prompts, those that parameters were learnt from, and those that everything else is about.
    units
        The blocks of units that intervals leave out.
    texts
        Whose words were scored after the prompts: ``given``, ``written by the model``, or ``none``.
    new_tokens
        The most tokens that were generated after a prompt.
    tokens
        Scored tokens by segment.
    full, policies
        Full routing, and the policies in the order of their share, the largest first.
    seed
        Of the halves and of random drops.
    notes
        Why something is None, and what was not looked at.
    """

    WHAT: ClassVar[str] = "a study of budgets"
    MADE_BY: ClassVar[str] = "moexray budget --json"
    MARK: ClassVar[str] = "policies"

    model: str | None
    dtype: str | None
    device: str | None
    experts_implementation: tuple[str, ...]
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]
    prompts: int
    learnt: int
    scored: int
    units: int
    texts: str
    new_tokens: int
    tokens: Mapping[str, int]
    full: FullRouting
    policies: tuple[PolicyCost, ...]
    seed: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    def studied(self) -> tuple[str | None, ...]:
        """Return None: no signatures were studied."""
        return (None,)

    def headline(self) -> list[str]:
        """Return the model and its loss, and for each share the policy that adds least."""
        full = self.full.loss[ALL]
        lines = [
            f"{self.model or 'unknown model'}, {count(self.scored, 'prompt')} scored: "
            f"{'–' if full is None else f'{full:.3f}'} nats a token with all {self.full.mean_k:.3g} experts"
        ]
        for keep in dict.fromkeys(one.keep for one in self.policies):
            there = [one for one in self.policies if one.keep == keep and one.loss[ALL].mean is not None]
            if there:
                best = min(there, key=lambda one: one.loss[ALL].mean or 0.0)
                change = best.loss[ALL]
                lines.append(
                    f"{keep:g} % of the experts: least loss by {best.policy}, "
                    f"{estimate(change.mean, change.ci, 3, signed=True)} nats a token"
                )
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each policy and category."""
        return [
            {
                "policy": one.policy,
                "keep": one.keep,
                "mean_k": one.mean_k,
                "category": category,
                "mean": change.mean,
                "ci.low": None if change.ci is None else change.ci[0],
                "ci.high": None if change.ci is None else change.ci[1],
                "loss": change.loss,
            }
            for one in self.policies
            for category, change in one.loss.items()
        ]


def study_budget(
    full: Measured,
    policies: Sequence[Measured],
    *,
    categories: Sequence[str],
    segments: Sequence[str],
    halves: Halves,
    experts: Sequence[int],
    facts: Mapping[str, Any],
) -> Budget:
    """Compare what was measured under policies with what was measured under full routing.

    Parameters
    ----------
    full, policies
        What was measured on the scored prompts.
    categories
        Of each scored prompt.
    segments
        Names of the segments.
    halves
        The halves, whose scored prompts these are.
    experts
        Experts of each layer.
    facts
        The other fields of `Budget`.
    """
    study = _Study(full, tuple(categories), tuple(segments), halves, np.asarray(experts))
    random = {one.keep: one for one in policies if one.policy == "random"}
    costs = tuple(study.cost(one, random.get(one.keep)) for one in policies)
    if any(one.loss[ALL].ci is None for one in costs):
        facts = {**facts, "notes": {**facts.get("notes", {}), "ci": _FEW_UNITS}}
    return Budget(
        **facts,
        scored=len(categories),
        units=len(halves.strata),
        tokens={name: int(full.tokens[:, place].sum()) for place, name in enumerate(segments)},
        full=study.full_routing(),
        policies=costs,
    )


@dataclass(frozen=True)
class _Study:
    full: Measured
    categories: tuple[str, ...]
    segments: tuple[str, ...]
    halves: Halves
    experts: NDArray[np.int64]

    def full_routing(self) -> FullRouting:
        mean_k, _ = self.full.mean_k()
        seconds = {} if self.full.seconds is None else _medians(self.full.batches, self.full.seconds)
        return FullRouting(
            loss={name: self._change(self.full, None, who).loss for name, who in self._categories().items()},
            segments={
                name: self._change(self.full, None, None, segment).loss for segment, name in enumerate(self.segments)
            },
            mean_k=mean_k,
            distinct=self._distinct(self.full),
            seconds=seconds,
        )

    def cost(self, found: Measured, random: Measured | None) -> PolicyCost:
        mean_k, layers_k = found.mean_k()
        ratios = np.zeros((1, 0))
        if found.seconds is not None and self.full.seconds is not None:
            ratios = found.seconds / self.full.seconds
        return PolicyCost(
            policy=found.policy,
            keep=found.keep,
            mean_k=mean_k,
            layers_k=layers_k,
            normalisation=str(found.rule["normalisation"]),
            rule=found.rule,
            loss={name: self._change(found, self.full, who) for name, who in self._categories().items()},
            segments={
                name: self._change(found, self.full, None, segment) for segment, name in enumerate(self.segments)
            },
            against_random=None if random is None or random is found else self._change(found, random, None),
            agreement=self._agreement(found),
            distinct=self._distinct(found),
            seconds_ratio=_medians(found.batches, ratios),
            seconds_range=_ranges(found.batches, ratios),
        )

    def _categories(self) -> dict[str, NDArray[np.bool_] | None]:
        """Return which prompts each category has, and None for all."""
        names = np.array(self.categories, dtype=object)
        return {ALL: None, **{name: names == name for name in sorted(set(self.categories))}}

    def _change(
        self, found: Measured, other: Measured | None, who: NDArray[np.bool_] | None, segment: int | None = None
    ) -> LossChange:
        """Return the mean loss of a token of some prompts and segments, and how it differs from another's."""
        chosen = slice(None) if segment is None else slice(segment, segment + 1)
        of_prompts = np.ones(len(self.categories)) if who is None else who.astype(np.float64)
        loss = found.losses[:, chosen].sum(axis=1) * of_prompts
        tokens = self.full.tokens[:, chosen].sum(axis=1) * of_prompts
        if not tokens.sum():
            return LossChange(None, None, None)
        mean = float(loss.sum() / tokens.sum())
        if other is None:
            return LossChange(None, None, mean)
        change = loss - other.losses[:, chosen].sum(axis=1) * of_prompts
        return LossChange(float(change.sum() / tokens.sum()), self._interval(change, tokens), mean)

    def _agreement(self, found: Measured) -> Agreement | None:
        if found.same_tokens is None or self.full.written is None or found.same_texts is None:
            return None
        ones = np.ones(len(self.categories))
        if not self.full.written.sum():
            return None
        return Agreement(
            tokens=float(found.same_tokens.sum() / self.full.written.sum()),
            tokens_ci=_within_shares(self._interval(found.same_tokens, self.full.written)),
            texts=float(found.same_texts.mean()),
            texts_ci=_within_shares(self._interval(found.same_texts.astype(np.float64), ones)),
        )

    def _interval(self, values: NDArray[Any], weights: NDArray[Any]) -> Interval | None:
        """95 % interval of Σ values / Σ weights over the units of the scored prompts that have any weight."""
        blocks = np.zeros((len(self.halves.strata), 2))
        np.add.at(blocks, self.halves.blocks, np.stack([values, weights], axis=1))
        there = blocks[:, 1] > 0
        blocks, strata = blocks[there], self.halves.strata[there]
        total = blocks.sum(axis=0)
        left = total - blocks
        left_out = np.divide(left[:, 0], left[:, 1], out=np.full(len(left), np.nan), where=left[:, 1] > 0)
        return UnitBlocks(self.halves.blocks, strata, len(strata)).interval(float(total[0] / total[1]), left_out)

    def _distinct(self, found: Measured) -> Losses:
        """Return the mean of layers of distinct experts of a batch of tokens at the same generated step."""
        if not len(found.steps):
            return {}
        sizes = tuple(size for size in SIZES if size <= found.steps.max())
        known = distinct_experts(found.selected, found.steps, experts=self.experts, sizes=sizes).observed.mean(axis=1)
        values = dict(zip(sizes, known.tolist(), strict=True))
        return {str(size): values.get(size) for size in SIZES}


def _within_shares(ci: Interval | None) -> Interval | None:
    """Return an interval without what no share can be."""
    return None if ci is None else (max(ci[0], 0.0), min(ci[1], 1.0))


def _ranges(batches: Sequence[int], values: NDArray[np.float64]) -> dict[str, Interval | None]:
    """Return the least and the greatest of the turns of each size of batch; None where there is none."""
    return {
        str(size): None if np.isnan(column).any() else (float(column.min()), float(column.max()))
        for size, column in zip(batches, values.T, strict=True)
    }


def _medians(batches: Sequence[int], values: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the median of turns of each size of batch; None where there is none."""
    return {
        str(size): None if np.isnan(column).any() else float(np.median(column))
        for size, column in zip(batches, values.T, strict=True)
    }
