"""Hits of the scored half of a trace, by the smallest cache that has them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moexray.routed_tokens import RoutedTokens
from moexray.stats.workloads.consistency import window_counts
from moexray.stats.workloads.lanes import lanes_by_layer, like_lengths, uses_of
from moexray.stats.workloads.lookahead import lookahead_depth_counts
from moexray.stats.workloads.recency import Recency, recency_of
from moexray.stats.workloads.stacks import belady_priorities, depth_counts, fixed_priorities, lfu_priorities
from moexray.studies.cache_learning import PREDICTORS, Learnt, learnt_from, predictions
from moexray.studies.cache_shared import SharedCounts, empty_shared
from moexray.studies.halves import Halves
from moexray.trace import Trace

LOOKAHEAD = 16
WINDOWS = (4, 16, 64, 256)
# Policies of a cache of one layer, in the order in which they are shown.
POLICIES = ("previous", "pinned", "static", "lru", "lru_continued", "lfu", f"sch_{LOOKAHEAD}", "belady")
# Selections that are held between the two passes over a trace, instead of reading it twice.
_HELD = 2**22


@dataclass
class PredictorCounts:
    """Of one predictor: selections and predictions of each block, layer and depth.

    Attributes
    ----------
    hits
        Selections by the smallest cache that has them, predicted ones at depth k ``(blocks, layers, depths)``.
    loads
        Predicted experts by the smallest cache that had them already ``(blocks, layers, depths)``.
    matched, predicted
        Predicted experts that were selected, and predicted ones ``(blocks, layers)``.
    """

    hits: NDArray[np.int64]
    loads: NDArray[np.int64]
    matched: NDArray[np.int64]
    predicted: NDArray[np.int64]


@dataclass
class CacheCounts:
    """Sums over the scored prompts, by block of units.

    Attributes
    ----------
    hits
        Of each policy, selections by depth: a cache of capacity C has those of depth C at most
        ``(blocks, layers, depths)``. The last depth is for what no cache has.
    shared
        Of a cache that all layers share, if asked for.
    selections, tokens
        Selections ``(blocks, layers)`` and tokens ``(blocks,)``.
    reused, followers
        Selections of tokens that have one before them, and those of them that it used ``(blocks, layers)``.
    uses
        Selections of each expert ``(layers, experts)``.
    predictors
        By name.
    windows
        `moexray.stats.workloads.consistency.window_counts` by window.
    """

    hits: dict[str, NDArray[np.int64]]
    shared: SharedCounts | None
    selections: NDArray[np.int64]
    tokens: NDArray[np.int64]
    reused: NDArray[np.int64]
    followers: NDArray[np.int64]
    uses: NDArray[np.int64]
    predictors: dict[str, PredictorCounts]
    windows: dict[int, NDArray[np.int64]]
    learnt: Learnt = field(repr=False)


def cache_counts(trace: Trace, halves: Halves, *, tokens: str, shared: bool, seed: int) -> CacheCounts:
    """Learn from one half of the prompts of a trace and count hits of the other.

    Parameters
    ----------
    trace
        Every token's experts.
    halves
        The halves of its prompts, by their place in the signatures.
    tokens
        Which tokens.
    shared
        Whether to count hits of a cache that all layers share.
    seed
        Of what is drawn.
    """
    blocks = _replayed(trace, tokens)
    signatures = trace.signatures
    experts, top_k = signatures.experts.astype(np.int64), signatures.top_k.astype(np.int64)
    learnt = learnt_from(blocks(), halves, signatures=signatures, seed=seed)
    found = _empty(len(halves.strata), len(experts), int(experts.max()), learnt)
    if shared:
        found.shared = empty_shared(learnt.counts, halves, signatures, tokens=tokens, seed=seed)
    block_of = np.full(len(signatures), -1)
    block_of[halves.scored] = halves.blocks
    before = np.zeros((len(experts), int(experts.max())), dtype=np.int64)
    for block in blocks():
        before = _add(found, block, block_of, before, top_k)
    return found


def _replayed(trace: Trace, tokens: str) -> Callable[[], Iterator[RoutedTokens]]:
    """Return a function that goes through the selected tokens: held in memory where they are few."""

    def blocks() -> Iterator[RoutedTokens]:
        return (some for block in trace.blocks() if len(some := block.select(tokens)))

    signatures = trace.signatures
    size = int(signatures.lengths(tokens).sum()) * len(signatures.layers) * int(signatures.top_k.max())
    if size > _HELD:
        return blocks
    held = [RoutedTokens.joined(list(blocks()))]
    return lambda: iter(held)


def _empty(blocks: int, layers: int, width: int, learnt: Learnt) -> CacheCounts:
    def zeros(*shape: int) -> NDArray[np.int64]:
        return np.zeros((blocks, *shape), dtype=np.int64)

    depths = width + 2
    return CacheCounts(
        hits={name: zeros(layers, depths) for name in POLICIES},
        shared=None,
        selections=zeros(layers),
        tokens=zeros(),
        reused=zeros(layers),
        followers=zeros(layers),
        uses=np.zeros((layers, width), dtype=np.int64),
        predictors={
            name: PredictorCounts(zeros(layers, depths), zeros(layers, depths), zeros(layers), zeros(layers))
            for name in PREDICTORS
        },
        windows={window: zeros(layers, window + 1) for window in WINDOWS},
        learnt=learnt,
    )


def _add(
    found: CacheCounts,
    block: RoutedTokens,
    block_of: NDArray[np.int64],
    before: NDArray[np.int64],
    top_k: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Add the prompts of one block of the trace, and return the order of last use after it."""
    scored = np.flatnonzero(block_of[block.prompts] >= 0)
    some = block.take(scored)
    blocks = block_of[some.prompts]
    found.tokens += np.bincount(blocks, minlength=len(found.tokens))
    predict = predictions(found.learnt, some) if len(some) else {}
    after = np.empty_like(before)
    own_ranks = np.zeros(some.experts.shape, dtype=np.int64)
    for layer, k in enumerate(top_k.tolist()):
        recent, after[layer] = recency_of(block.experts[:, layer], block.prompts, scored, before[layer])
        if not len(some):
            continue
        selected, own_ranks[:, layer] = _add_layer(found, some, blocks, recent, layer)
        for name, of in predict.items():
            _add_predictions(found.predictors[name], layer, k, of(layer, k), selected)
    for rows in like_lengths(some.prompts):
        _add_stacks(found, some.take(rows), block_of)
        if found.shared is not None:
            found.shared.add(some.prompts[rows], some.experts[rows], own_ranks[rows], block_of)
    if len(some):
        _add_windows(found, some, blocks)
    return after


@dataclass(frozen=True)
class _Selected:
    """The selections of some tokens in one layer, and the smallest cache that held each expert before each token.

    Attributes
    ----------
    blocks
        The block of each token ``(tokens,)``.
    chosen, there
        Selected experts, and which of them are one ``(tokens, k)``.
    held
        Capacity of the smallest LRU cache with an expert; past the last one where none has it ``(tokens, experts)``.
    """

    blocks: NDArray[np.int64]
    chosen: NDArray[np.int64]
    there: NDArray[np.bool_]
    held: NDArray[np.integer]

    def held_at(self, experts: NDArray[np.int64]) -> NDArray[np.integer]:
        """Return what `held` says of some experts of each token; of −1 something."""
        tokens, width = self.held.shape
        return np.asarray(self.held.ravel()[np.maximum(experts, 0) + (np.arange(tokens) * width)[:, None]])


def _add_layer(
    found: CacheCounts, some: RoutedTokens, blocks: NDArray[np.int64], recent: Recency, layer: int
) -> tuple[_Selected, NDArray[np.int64]]:
    """Add what follows from the order of last use; return the selections, and the ranks of the selected experts."""
    chosen = some.experts[:, layer].astype(np.int64)
    there = chosen >= 0
    width = found.learnt.counts.shape[1]
    never = width + 1
    places = np.maximum(chosen, 0) + (np.arange(len(chosen)) * width)[:, None]
    ranks, reused = recent.ranks.ravel()[places], recent.by_previous.ravel()[places] & there
    selected = _Selected(
        blocks, chosen, there, np.where(recent.in_prompt, recent.ranks + 1, recent.ranks.dtype.type(never))
    )
    depths = {
        "previous": np.where(reused, 1, never),
        "pinned": found.learnt.order[layer][np.maximum(chosen, 0)] + 1,
        "lru": selected.held.ravel()[places],
        "lru_continued": ranks + 1,
    }
    for name, depth in depths.items():
        found.hits[name][:, layer] += _by_block(blocks, depth, there, found.hits[name].shape[::2])
    found.uses[layer] += np.bincount(chosen[there], minlength=width)
    number = len(found.tokens)
    follows = np.diff(some.prompts, prepend=-1) == 0
    selections = there.sum(axis=1)
    found.selections[:, layer] += np.bincount(blocks, selections, number).astype(np.int64)
    found.reused[:, layer] += np.bincount(blocks, reused.sum(axis=1), number).astype(np.int64)
    found.followers[:, layer] += np.bincount(blocks, selections * follows, number).astype(np.int64)
    return selected, ranks


def _add_predictions(
    found: PredictorCounts, layer: int, k: int, predicted: NDArray[np.int64], selected: _Selected
) -> None:
    """Add the predictions of one layer: k slots hold what is predicted, the others what was used last."""
    chosen, there, some = selected.chosen, selected.there, predicted >= 0
    matched = np.zeros(chosen.shape, dtype=bool)
    for one in predicted.T:
        matched |= chosen == one[:, None]
    matched &= there
    shape = found.hits.shape[::2]
    most = shape[1] - 1
    depth = np.minimum(selected.held_at(chosen) + k, most)
    loaded = np.minimum(selected.held_at(predicted) + k, most)
    found.hits[:, layer] += _by_block(selected.blocks, np.where(matched, k, depth), there, shape)
    found.loads[:, layer] += _by_block(selected.blocks, loaded, some, shape)
    found.matched[:, layer] += np.bincount(selected.blocks, matched.sum(axis=1), shape[0]).astype(np.int64)
    found.predicted[:, layer] += np.bincount(selected.blocks, some.sum(axis=1), shape[0]).astype(np.int64)


def _add_stacks(found: CacheCounts, some: RoutedTokens, block_of: NDArray[np.int64]) -> None:
    """Add the policies that need a stack."""
    lanes = lanes_by_layer(some.experts, some.prompts, found.learnt.counts.shape[1])
    uses = uses_of(lanes)
    policies = {
        "static": fixed_priorities(lanes, found.learnt.order),
        "lfu": lfu_priorities(lanes, uses),
        "belady": belady_priorities(lanes, uses),
    }
    counts = dict(zip(policies, depth_counts(lanes, uses, list(policies.values())), strict=True))
    counts[f"sch_{LOOKAHEAD}"] = lookahead_depth_counts(lanes, LOOKAHEAD)
    where = block_of[_numbers(some)][lanes.prompts], lanes.layers
    for name, of in counts.items():
        np.add.at(found.hits[name][:, :, 1:-1], where, of)


def _add_windows(found: CacheCounts, some: RoutedTokens, blocks: NDArray[np.int64]) -> None:
    width = found.learnt.counts.shape[1]
    of_windows = window_counts(some.experts, some.prompts, blocks, windows=tuple(found.windows), width=width)
    for counts, own in zip(found.windows.values(), of_windows, strict=True):
        counts[: len(own)] += own


def _numbers(some: RoutedTokens) -> NDArray[np.int64]:
    """Return the prompts of some tokens, in their order."""
    return np.asarray(some.prompts[np.diff(some.prompts, prepend=-1) != 0])


def _by_block(
    blocks: NDArray[np.int64], depths: NDArray[np.integer], there: NDArray[np.bool_], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Count depths ``(tokens, k)`` by block: ``(blocks, depths)``."""
    cells = blocks[:, None] * shape[1] + depths
    if not there.all():
        cells = cells[there]
    return np.bincount(cells.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
