"""Distinct experts by the size of a batch: observed, by load alone, and with even load, each with its interval."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures
from moexray.stats.pairs.summaries import Interval
from moexray.stats.workloads.distinct import DistinctExperts, distinct_experts, load_matched, uniform
from moexray.studies.batch_counts import BatchCounts
from moexray.studies.unit_blocks import UnitBlocks

Values = tuple[float | None, ...]
Intervals = tuple[Interval | None, ...]


@dataclass(frozen=True)
class _OfLayer:
    layer: int
    experts: int
    top_k: int


@dataclass(frozen=True)
class Curve:
    """Mean distinct experts of a batch by its size, None where there are no such batches.

    Attributes
    ----------
    sizes
        Prompts of a batch, or tokens of a chunk.
    observed, observed_ci
        In the trace, with the 95 % interval over units.
    load_matched, load_matched_ci
        Σ_e (1 − (1 − π_e)^B): independent tokens with the load of the same tokens.
    uniform
        E (1 − (1 − k/E)^B): independent tokens with even load.
    """

    sizes: tuple[int, ...]
    observed: Values
    observed_ci: Intervals
    load_matched: Values
    load_matched_ci: Intervals
    uniform: Values


@dataclass(frozen=True)
class LayerCurve(Curve, _OfLayer):
    """The curve of one layer, its number of experts, and its selections a token."""


@dataclass(frozen=True)
class MeanCurve(Curve):
    """The mean of all layers.

    Attributes
    ----------
    skew
        `uniform` minus `load_matched`: experts that uneven load saves.
    correlation, correlation_ci
        `load_matched` minus `observed`: experts that are saved since tokens that run together select alike.
    share
        Observed distinct experts of all layers, as a share of all experts of the model's MoE layers.
    tokens_per_expert
        Selections of a batch for each distinct expert: tokens that share one read of its weights.
    batches
        How many steps or windows are averaged.
    """

    skew: Values
    correlation: Values
    correlation_ci: Intervals
    share: Values
    tokens_per_expert: Values
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Curves:
    """The curves of all layers, and what their intervals need.

    Attributes
    ----------
    layers, mean
        Of each layer, and their mean.
    found
        Over all units; its arrays are ``(sizes, layers)``.
    without
        `DistinctExperts.observed` without each block ``(blocks, sizes, layers)``.
    """

    layers: tuple[LayerCurve, ...]
    mean: MeanCurve
    found: DistinctExperts
    without: NDArray[np.float64]


def decode_curves(counts: BatchCounts, signatures: Signatures, sizes: tuple[int, ...]) -> Curves:
    """Return the curves of batches of different prompts at the same generated step.

    An interval looks at the steps that keep enough prompts whichever block is left out.
    """
    selected, prompts = counts.selected.sum(axis=0, dtype=np.int64), counts.at_step.sum(axis=0)
    found = distinct_experts(selected, prompts, experts=signatures.experts, sizes=sizes)
    enough = prompts - counts.at_step.max(axis=0, initial=0) >= np.array(sizes)[:, None]

    def without(block: int) -> DistinctExperts:
        return distinct_experts(
            selected - counts.selected[block],
            prompts - counts.at_step[block],
            experts=signatures.experts,
            sizes=sizes,
            counted=enough,
        )

    return _curves(found, without, counts.units, signatures, sizes)


def prefill_curves(counts: BatchCounts, signatures: Signatures, sizes: tuple[int, ...]) -> Curves:
    """Return the curves of consecutive tokens of one prompt; every window counts the same."""
    parts: tuple[NDArray[Any], ...] = (counts.windows, counts.distinct, counts.counts, counts.tokens)
    totals = [np.asarray(part.sum(axis=0, dtype=np.int64)) for part in parts]

    def chunks(block: int | None) -> DistinctExperts:
        windows, distinct, of_expert, tokens = (
            total if block is None else total - part[block] for total, part in zip(totals, parts, strict=True)
        )
        observed, matched, even, selections = (np.full(distinct.shape, np.nan) for _ in range(4))
        for place in np.flatnonzero(windows).tolist():
            shares = of_expert[place] / tokens[place]
            observed[place] = distinct[place] / windows[place]
            matched[place] = load_matched(shares, sizes[place])
            selections[place] = shares.sum(axis=1)
            even[place] = uniform(selections[place], signatures.experts, sizes[place])
        return DistinctExperts(observed, matched, even, selections, windows)

    return _curves(chunks(None), chunks, counts.units, signatures, sizes)


def _curves(
    found: DistinctExperts,
    without: Callable[[int], DistinctExperts],
    units: UnitBlocks,
    signatures: Signatures,
    sizes: tuple[int, ...],
) -> Curves:
    left_out = [without(block) for block in range(len(units))] if found.steps.any() else []
    shape = (len(left_out), len(sizes), len(signatures.layers))
    observed = np.array([one.observed for one in left_out]).reshape(shape)
    matched = np.array([one.load_matched for one in left_out]).reshape(shape)

    def parts(pick: Callable[[NDArray[Any]], Any]) -> Curve:
        """Return the curve of one layer, or of their mean: `pick` goes from ``(…, layers)`` to ``(…,)``."""
        most = float(pick(signatures.experts))
        return Curve(
            sizes=sizes,
            observed=values(pick(found.observed)),
            observed_ci=intervals(units, pick(found.observed), pick(observed), most=most),
            load_matched=values(pick(found.load_matched)),
            load_matched_ci=intervals(units, pick(found.load_matched), pick(matched), most=most),
            uniform=values(pick(found.uniform)),
        )

    facts = zip(signatures.layers.tolist(), signatures.experts.tolist(), signatures.top_k.tolist(), strict=True)
    layers = [
        LayerCurve(*of_layer, **vars(parts(partial(np.take, indices=place, axis=-1))))
        for place, of_layer in enumerate(facts)
    ]
    gap = (found.load_matched - found.observed).mean(axis=-1)
    mean = MeanCurve(
        **vars(parts(lambda of_layers: of_layers.mean(axis=-1))),
        skew=values((found.uniform - found.load_matched).mean(axis=-1)),
        correlation=values(gap),
        correlation_ci=intervals(units, gap, (matched - observed).mean(axis=-1)),
        share=values(found.observed.sum(axis=-1) / signatures.experts.sum()),
        tokens_per_expert=values(np.array(sizes) * found.selections.sum(axis=-1) / found.observed.sum(axis=-1)),
        batches=tuple(found.steps.tolist()),
    )
    return Curves(tuple(layers), mean, found, observed)


def values(numbers: NDArray[np.float64]) -> Values:
    """Return numbers, and None for what is not a number."""
    return tuple(float(one) if np.isfinite(one) else None for one in numbers)


def intervals(
    units: UnitBlocks, estimates: NDArray[np.float64], left_out: NDArray[np.float64], *, most: float | None = None
) -> Intervals:
    """Return an interval for each size, within 0 to `most`; None where it cannot be had without some block."""
    if not len(left_out):
        return (None,) * len(estimates)
    return units.intervals(estimates, left_out, bounds=None if most is None else (0.0, most))
