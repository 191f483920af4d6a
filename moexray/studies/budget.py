"""Budgets: what it costs, in loss and in changed text, to send each token to fewer experts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.pairs.summaries import Interval
from moexray.stats.workloads.distinct import distinct_experts
from moexray.studies.budget_measured import Measured
from moexray.studies.budget_result import ALL, Agreement, Budget, FullRouting, Kind, LossChange, Losses, PolicyCost
from moexray.studies.halves import Halves
from moexray.studies.unit_blocks import UnitBlocks

# Of batches whose distinct experts are counted.
SIZES = (1, 2, 4, 8, 16, 32, 64)

_FEW_UNITS = "a category has fewer than three scored units: no interval can be had of it, nor of all"


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
    random = {_share(one): one for one in policies if one.policy == "random"}
    even = {(one.policy, one.keep): one for one in policies if one.keep_kinds is None}
    costs = tuple(
        study.cost(one, random.get(_share(one)), None if one.keep_kinds is None else even.get((one.policy, one.keep)))
        for one in policies
    )
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
            kinds=_kinds(self.full),
        )

    def cost(self, found: Measured, random: Measured | None, even: Measured | None) -> PolicyCost:
        mean_k, layers_k = found.mean_k()
        ratios = np.zeros((1, 0))
        if found.seconds is not None and self.full.seconds is not None:
            ratios = found.seconds / self.full.seconds
        return PolicyCost(
            policy=found.policy,
            keep=found.keep,
            mean_k=mean_k,
            layers_k=layers_k,
            normalisation=found.normalisation,
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
            keep_kinds=found.keep_kinds,
            kinds=_kinds(found),
            against_even=None if even is None else self._change(found, even, None),
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


def _share(one: Measured) -> tuple[Any, ...]:
    """Return what a policy keeps: policies of one share are compared with each other."""
    return one.keep, None if one.keep_kinds is None else tuple(one.keep_kinds.items())


def _kinds(found: Measured) -> dict[str, Kind] | None:
    if found.by_kind is None:
        return None
    return {
        kind: Kind(one.routed, float(one.selections.mean() / one.routed) if one.routed else None)
        for kind, one in found.by_kind.items()
    }


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
