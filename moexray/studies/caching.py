"""Caching: how much expert memory buys how few misses, from the routing of a trace."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.formats import count, listed, percent
from moexray.signatures import Signatures
from moexray.stats.inference.jackknife import LEAST_UNITS
from moexray.studies.cache_counts import WINDOWS, CacheCounts, cache_counts
from moexray.studies.cache_learning import PREDICTORS
from moexray.studies.cache_report import CacheReport, CapacityFor
from moexray.studies.cache_values import CacheValues
from moexray.studies.expert_bytes import UNKNOWN, expert_bytes_of
from moexray.studies.halves import Halves, halves_of
from moexray.studies.top_experts import TopExperts
from moexray.trace import Trace

WANTED = 0.9
# By default caches hold k experts of a layer, and each of these shares of its experts.
_SHARES = 8


def study_caches(
    trace: Trace,
    *,
    tokens: str = "all",
    capacities: Sequence[int] | None = None,
    hit_rate: float = WANTED,
    expert_bytes: int | None = None,
    shared: bool = False,
    seed: int = 0,
) -> CacheReport:
    """Return what caches of several capacities hit under several policies; see docs/cache.md.

    Parameters
    ----------
    trace
        Every token's experts.
    tokens
        Which tokens: see `moexray.segments.places`.
    capacities
        Experts of a layer that fit its cache; by default k and every eighth of the layer's experts.
    hit_rate
        The hit rate that `capacity_for` is for.
    expert_bytes
        Bytes of one expert; by default what the capture recorded.
    shared
        Whether to study one cache that all layers share, too.
    seed
        Of the halves of the prompts.

    Raises
    ------
    AnalysisError
        If a capacity or the hit rate cannot be used, or no prompt has such a token.
    NotComputable
        If the prompts cannot be halved, or a layer selects nothing in one half.
    TraceError
        If the trace does not go with its signatures.
    """
    signatures = trace.signatures
    if not 0 < hit_rate < 1:
        message = f"`hit_rate` is {hit_rate:g}: a wanted hit rate is above 0 and below 1"
        raise AnalysisError(message)
    sizes = _capacities(signatures, capacities)
    bytes_of_expert = expert_bytes_of(signatures, expert_bytes)
    halves = _halves(signatures, tokens, seed)
    counts = cache_counts(trace, halves, tokens=tokens, shared=shared, seed=seed)
    _check_selections(counts, signatures)
    study = CacheValues(signatures, halves, counts, sizes, bytes_of_expert)
    needed = tuple(study.needed(name, hit_rate) for name in counts.hits if name != "previous")
    model = signatures.meta.get("model")
    return CacheReport(
        model=None if model is None else str(model),
        tokens=tokens,
        prompts=len(halves.learnt) + len(halves.scored),
        learnt_prompts=len(halves.learnt),
        scored_prompts=len(halves.scored),
        scored_tokens=int(counts.tokens.sum()),
        seed=seed,
        wanted=hit_rate,
        expert_bytes=bytes_of_expert,
        fingerprint=signatures.fingerprint,
        layers=tuple(study.layer(place) for place in range(len(signatures.layers))),
        together=study.together(),
        shared=None if counts.shared is None else study.shared(counts.shared),
        predictors=tuple(study.predictor(name) for name in PREDICTORS),
        srp=tuple(study.segments(window) for window, of in counts.windows.items() if of.any()),
        capacity_for=needed,
        notes=dict(sorted({**_notes(study, needed), **_order_note(trace)}.items())),
    )


def _capacities(signatures: Signatures, given: Sequence[int] | None) -> NDArray[np.int64]:  # (sizes, layers)
    """Return the capacities of each layer; layers with fewer experts have smaller ones by default."""
    experts, top_k = signatures.experts.astype(np.int64), signatures.top_k.astype(np.int64)
    if given is None:
        shares = np.maximum(-(-experts * np.arange(1, _SHARES + 1)[:, None] // _SHARES), top_k)
        every = np.concatenate([top_k[None], shares])
        return every[[place for place, row in enumerate(every) if place == 0 or (row != every[place - 1]).any()]]
    if not len(given):
        message = "`capacities` holds no number: name the experts of a layer that fit its cache"
        raise AnalysisError(message)
    for size in given:
        for layer, number, k in zip(signatures.layers.tolist(), experts.tolist(), top_k.tolist(), strict=True):
            if not k <= size <= number:
                message = (
                    f"`capacities` holds {size}, and layer {layer} has {count(number, 'expert')}, of which a token "
                    f"selects {k}: a cache holds from {k} to {number} of them"
                )
                raise AnalysisError(message)
    return np.tile(np.array(sorted(set(given)))[:, None], (1, len(experts)))


def _halves(signatures: Signatures, tokens: str, seed: int) -> Halves:
    """Return the halves of the prompts that have such tokens, by their places in the signatures."""
    kept = np.flatnonzero(signatures.has_tokens(tokens))
    if not len(kept):
        message = f"no prompt has a token among `tokens`={tokens!r}: name others"
        raise AnalysisError(message)
    table = signatures.prompts
    labels = [table.categories[place] for place in kept.tolist()]
    groups = None if table.groups is None else [table.groups[place] for place in kept.tolist()]
    found = halves_of(labels, groups, seed)
    return Halves(kept[found.learnt], kept[found.scored], found.blocks, found.strata)


def _check_selections(counts: CacheCounts, signatures: Signatures) -> None:
    for selections, half in (
        (counts.learnt.counts.sum(axis=1), "learn from"),
        (counts.selections.sum(axis=0), "score"),
    ):
        for layer, number in zip(signatures.layers.tolist(), selections.tolist(), strict=True):
            if not number:
                message = f"layer {layer} selects no expert in the half of the prompts to {half}: capture more prompts"
                raise NotComputable(message)


def _notes(study: CacheValues, needed: Sequence[CapacityFor]) -> dict[str, str]:
    """Return what the values mean and why some are missing, by the key that they are about."""
    counts = study.counts
    notes = {
        "hit_rate": (
            "each prompt starts with an empty cache, but for pinned, which holds its experts from the start and keeps "
            "no others, and warm LRU (lru_continued), which goes on from prompt to prompt in the order of the file"
        )
    }
    if study.expert_bytes is None:
        notes["bytes"] = UNKNOWN
    elif counts.shared is not None and len(set(study.expert_bytes)) > 1:
        notes["shared.bytes"] = "experts of different layers have different sizes: a shared slot has none"
    if np.bincount(study.strata)[study.strata].min() < LEAST_UNITS:
        notes["ci"] = (
            "no intervals: to score, a category has fewer than three prompts or groups, or fewer than three groups "
            "hold several categories"
        )
    absent = [str(window) for window in WINDOWS if not counts.windows[window].any()]
    if absent:
        notes["srp"] = f"no windows of {listed(absent)} tokens: no scored prompt has so many selected tokens"
    never = [one.policy for one in needed if one.experts is None]
    if never:
        first = 1 - counts.hits["belady"][..., :-1].sum() / counts.selections.sum()
        notes["capacity_for"] = (
            f"{listed(never)} never {'has' if len(never) == 1 else 'have'} the wanted hit rate in every layer; "
            f"{percent(first)} of all selections are an expert's first in its prompt, and miss in a cache that each "
            "prompt starts empty"
        )
    if counts.shared is not None and counts.shared.prompts < len(study.halves.scored):
        notes["shared"] = (
            f"of {counts.shared.prompts:,} of the {len(study.halves.scored):,} scored prompts, drawn at random: a "
            "shared cache takes long to simulate"
        )
    if counts.learnt.ids_dropped:
        notes["predictors.token_id"] = (
            f"the table holds {len(counts.learnt.ids):,} token ids; others are predicted as unknown ones"
        )
    if len(counts.learnt.library.counts) < len(study.halves.learnt):
        notes["predictors.request"] = (
            f"compares with {len(counts.learnt.library.counts):,} of the {len(study.halves.learnt):,} prompts to learn "
            "from, drawn at random"
        )
    return notes


def _order_note(trace: Trace) -> dict[str, str]:
    """Return what the order of a token's experts does to policies that go by the last use."""
    if trace.signatures.meta.get("selection_order") == "ascending":
        order, last = "in ascending order and not by gate weight", "the one of the lowest id"
    elif not TopExperts.are_there(trace):
        order, last = "in the order of the recording, which may not be that of gate weights", "the first one"
    else:
        return {}
    return {
        "hit_rate.lru": (
            f"experts of a token stand {order}: {last} counts as used last, so lru, lru_continued, lfu and sch_16 are "
            "not exactly comparable with those of a recording by gate weight"
        )
    }
