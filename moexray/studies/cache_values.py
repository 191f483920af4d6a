"""Hit rates, misses, bytes and their intervals, from the hits that were counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures
from moexray.stats.inference.ratios import pooled_intervals, ratio_intervals
from moexray.stats.pairs.summaries import Interval
from moexray.stats.workloads.consistency import consistency, independent_counts
from moexray.studies.cache_counts import CacheCounts, PredictorCounts
from moexray.studies.cache_learning import PREDICTORS
from moexray.studies.cache_report import (
    CacheLayer,
    CacheTotal,
    CapacityFor,
    NeededCapacity,
    Predictor,
    Segments,
)
from moexray.studies.cache_shared import SharedCounts
from moexray.studies.halves import Halves


@dataclass(frozen=True)
class CacheValues:
    """Values and intervals of what was counted.

    Attributes
    ----------
    signatures, halves, counts
        The prompts, their halves, and the sums over the scored one.
    sizes
        Capacities of each layer ``(sizes, layers)``.
    expert_bytes
        Bytes of an expert of each layer; None where they are not known.
    """

    signatures: Signatures
    halves: Halves
    counts: CacheCounts
    sizes: NDArray[np.int64]
    expert_bytes: tuple[int, ...] | None

    @property
    def strata(self) -> NDArray[np.int64]:  # (blocks,)
        """The stratum of each block of units."""
        return self.halves.strata

    @cached_property
    def curves(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Hit rates ``(policies, layers, capacities)`` of every capacity from one, and the ends of their intervals."""
        hits = np.cumsum(np.stack(list(self.counts.hits.values()), axis=1), axis=3)[..., 1:-1]
        return ratio_intervals(hits, self.counts.selections[:, None, :, None], self.strata)

    def layer(self, place: int) -> CacheLayer:
        """Return the caches of one layer."""
        experts, k = int(self.signatures.experts[place]), int(self.signatures.top_k[place])
        sizes = self.sizes[:, place]
        rates, ends = (of[:, place, sizes - 1] for of in self.curves)
        curves = dict(zip(self.counts.hits, map(values, rates), strict=True)) | {"chance": values(sizes / experts)}
        each = float(self.counts.selections[:, place].sum() / self.counts.tokens.sum())
        misses = {name: tuple(each * (1 - one) for one in curve) for name, curve in curves.items()}
        reuse, reuse_ci = ratio_intervals(self.counts.reused[:, place], self.counts.followers[:, place], self.strata)
        size = None if self.expert_bytes is None else self.expert_bytes[place]
        return CacheLayer(
            layer=int(self.signatures.layers[place]),
            experts=experts,
            top_k=k,
            capacities=tuple(sizes.tolist()),
            hit_rate=curves,
            ci={name: tuple(map(interval, of)) for name, of in zip(self.counts.hits, ends, strict=True)},
            misses=misses,
            bytes=None if size is None else {name: tuple(one * size for one in of) for name, of in misses.items()},
            memory=None if size is None else tuple((sizes * size).tolist()),
            reuse=None if np.isnan(reuse) else float(reuse),
            reuse_ci=interval(reuse_ci),
            reuse_chance=each / experts,
        )

    def together(self) -> CacheTotal:
        """Return the caches of all layers, each with its own, added up."""
        layers, tokens = np.arange(self.sizes.shape[1]), int(self.counts.tokens.sum())
        hits = {
            name: np.cumsum(of, axis=2)[:, layers, self.sizes] for name, of in self.counts.hits.items()
        }  # (blocks, sizes, layers)
        selections = self.counts.selections
        by_chance = (self.sizes / self.signatures.experts * selections.sum(axis=0)).sum(axis=1) / selections.sum()
        rates, ci = self._rates(
            {name: of.sum(axis=2) for name, of in hits.items()}, selections.sum(axis=1)[:, None], by_chance
        )
        missed = {name: (selections[:, None] - of).sum(axis=0) / tokens for name, of in hits.items()}
        missed["chance"] = selections.sum(axis=0) / tokens * (1 - self.sizes / self.signatures.experts)
        of_expert = None if self.expert_bytes is None else np.array(self.expert_bytes, dtype=np.float64)
        return CacheTotal(
            capacities=tuple(self.sizes.sum(axis=1).tolist()),
            share=tuple((self.sizes.sum(axis=1) / self.all_experts).tolist()),
            hit_rate=rates,
            ci=ci,
            misses={name: values(of.sum(axis=1)) for name, of in missed.items()},
            bytes=None if of_expert is None else {name: values(of @ of_expert) for name, of in missed.items()},
            memory=None if self.expert_bytes is None else whole(self.sizes @ np.array(self.expert_bytes)),
        )

    def shared(self, counts: SharedCounts) -> CacheTotal:
        """Return one cache for all layers, as large as all of their caches together."""
        sizes = self.sizes.sum(axis=1)
        hits = {name: np.cumsum(of, axis=1)[:, sizes] for name, of in counts.hits.items()}
        rates, ci = self._rates(hits, counts.selections[:, None], sizes / self.all_experts)
        each = float(counts.selections.sum() / counts.tokens.sum())
        misses = {name: tuple(each * (1 - one) for one in curve) for name, curve in rates.items()}
        size = None if self.expert_bytes is None or len(set(self.expert_bytes)) > 1 else self.expert_bytes[0]
        return CacheTotal(
            capacities=whole(sizes),
            share=values(sizes / self.all_experts),
            hit_rate=rates,
            ci=ci,
            misses=misses,
            bytes=None if size is None else {name: tuple(one * size for one in of) for name, of in misses.items()},
            memory=None if size is None else whole(sizes * size),
        )

    def predictor(self, name: str) -> Predictor:
        """Return what one predictor knows."""
        found, layers = self.counts.predictors[name], np.arange(self.sizes.shape[1])
        recall, recall_ci = self._share(found.matched, self.counts.selections)
        precision, precision_ci = self._share(found.matched, found.predicted)
        hits = np.cumsum(found.hits, axis=2)[:, layers, self.sizes].sum(axis=2)
        rates, ends = ratio_intervals(hits, self.counts.selections.sum(axis=1)[:, None], self.strata)
        loads, tokens = self._loads(found), self.counts.tokens
        per_token = loads.sum(axis=0) / tokens.sum()  # (sizes, layers)
        with np.errstate(invalid="ignore"):  # not a number where one block has all tokens
            left_out = (loads.sum(axis=0) - loads).sum(axis=2) / (tokens.sum() - tokens)[:, None]
        loads_ci = pooled_intervals(per_token.sum(axis=1), left_out, self.strata)
        return Predictor(
            name=name,
            known=PREDICTORS[name],
            recall=recall,
            recall_ci=recall_ci,
            precision=precision,
            precision_ci=precision_ci,
            layers=values(found.matched.sum(axis=0) / self.counts.selections.sum(axis=0)),
            hit_rate=values(rates),
            ci=tuple(interval(one) for one in ends),
            loads=values(per_token.sum(axis=1)),
            loads_ci=tuple(map(interval, loads_ci)),
            bytes=None
            if self.expert_bytes is None
            else values(per_token @ np.array(self.expert_bytes, dtype=np.float64)),
        )

    def _loads(self, found: PredictorCounts) -> NDArray[np.int64]:  # (blocks, sizes, layers)
        """Return the experts that are loaded: predicted ones that were not there, and misses."""
        layers = np.arange(self.sizes.shape[1])
        early = found.predicted[:, None] - np.cumsum(found.loads, axis=2)[:, layers, self.sizes]
        late = self.counts.selections[:, None] - np.cumsum(found.hits, axis=2)[:, layers, self.sizes]
        return np.asarray(early + late)

    def segments(self, window: int) -> Segments:
        """Return the local routing consistency of windows of one length."""
        counts = self.counts.windows[window]
        of_layers = counts.sum(axis=1)
        experts = self.signatures.experts.astype(np.int64)
        value = consistency(of_layers.sum(axis=0))
        left_out = consistency(of_layers.sum(axis=0) - of_layers)
        ends = pooled_intervals(np.asarray(value), left_out, self.strata)
        tokens = self.counts.tokens.sum()
        each = (self.counts.selections.sum(axis=0) / tokens).tolist()  # k, less what the router dropped
        uniform = [independent_counts(np.full(n, k / n), window) for n, k in zip(experts.tolist(), each, strict=True)]
        matched = independent_counts(self.counts.uses / tokens, window)
        by_layer = consistency(counts.sum(axis=0))
        return Segments(
            m=window,
            windows=int(counts[:, 0].sum()) // int(experts.max()),
            value=float(value),
            ci=interval(np.clip(ends, 0, 1)),
            uniform=float(consistency(np.sum(uniform, axis=0))),
            load_matched=float(consistency(matched.sum(axis=0))),
            layers=tuple(None if np.isnan(one) else float(one) for one in by_layer),
        )

    def needed(self, name: str, wanted: float) -> CapacityFor:
        """Return the smallest cache of each layer that has the wanted hit rate under a policy."""
        layers = [self._needed_of_layer(name, wanted, place) for place in range(len(self.signatures.layers))]
        known = [one.capacity for one in layers if one.capacity is not None]
        total = sum(known) if len(known) == len(layers) else None
        sizes = [one.bytes for one in layers if one.bytes is not None]
        return CapacityFor(
            policy=name,
            experts=total,
            share=None if total is None else total / self.all_experts,
            bytes=sum(sizes) if len(sizes) == len(layers) else None,
            layers=tuple(layers),
        )

    def _needed_of_layer(self, name: str, wanted: float, place: int) -> NeededCapacity:
        experts, k = int(self.signatures.experts[place]), int(self.signatures.top_k[place])
        policy = list(self.counts.hits).index(name)
        rates, ends = (of[policy, place, :experts] for of in self.curves)
        capacity, least, most = (_first(one, wanted, k) for one in (rates, ends[:, 1], ends[:, 0]))
        size = None if self.expert_bytes is None or capacity is None else capacity * self.expert_bytes[place]
        return NeededCapacity(
            layer=int(self.signatures.layers[place]), capacity=capacity, least=least, most=most, bytes=size
        )

    @property
    def all_experts(self) -> int:
        """Experts of all layers."""
        return int(self.signatures.experts.sum())

    def _rates(
        self, hits: Mapping[str, NDArray[np.int64]], selections: NDArray[np.int64], chance: NDArray[np.float64]
    ) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[Interval | None, ...]]]:
        """Return hit rates and intervals by policy; chance has no error."""
        found, ends = ratio_intervals(np.stack(list(hits.values()), axis=1), selections[:, None], self.strata)
        rates = dict(zip(hits, map(values, found), strict=True)) | {"chance": values(chance)}
        return rates, {name: tuple(map(interval, of)) for name, of in zip(hits, ends, strict=True)}

    def _share(self, parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> tuple[float, Interval | None]:
        found, ends = ratio_intervals(parts.sum(axis=1), wholes.sum(axis=1), self.strata)
        return float(found), interval(ends)


def _first(rates: NDArray[np.float64], wanted: float, k: int) -> int | None:
    """Return the smallest capacity from k on with the wanted rate; None where there is none, or no interval."""
    places = np.flatnonzero(rates[k - 1 :] >= wanted)
    return k + int(places[0]) if len(places) else None


def interval(ends: NDArray[np.float64]) -> Interval | None:
    """Return the two ends; None where they are not finite."""
    low, high = ends.tolist()
    return (low, high) if np.isfinite(ends).all() else None


def values(array: NDArray[np.floating]) -> tuple[float, ...]:
    """Return the numbers of an array."""
    return tuple(float(one) for one in array)


def whole(array: NDArray[np.integer]) -> tuple[int, ...]:
    """Return the whole numbers of an array."""
    return tuple(int(one) for one in array)
