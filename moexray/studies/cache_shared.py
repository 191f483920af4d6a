"""Hits of one cache that all layers share, of as many prompts as can be simulated in bounded time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures
from moexray.stats.workloads.lanes import lanes_of_all_layers, uses_of
from moexray.stats.workloads.shared_cache import shared_lru_depths
from moexray.stats.workloads.stacks import belady_priorities, depth_counts
from moexray.studies.cache_learning import ranks_of
from moexray.studies.halves import Halves

SHARED = ("pinned", "lru", "belady")
# Places of stacks that may be moved, some ten seconds of work: each token moves k experts of each layer through all.
_MOST_MOVES = 2**31


@dataclass
class SharedCounts:
    """Sums over the scored prompts, or a sample of them, by block of units.

    Attributes
    ----------
    hits
        Of each policy, selections by the smallest cache that has them ``(blocks, depths)``.
    selections, tokens
        Selections and tokens ``(blocks,)``.
    order
        Place of each expert by its uses in the learning half, of all layers ``(layers, experts)``.
    kept
        Which prompts are counted, by their place in the signatures.
    prompts
        How many of them there are.
    """

    hits: dict[str, NDArray[np.int64]]
    selections: NDArray[np.int64]
    tokens: NDArray[np.int64]
    order: NDArray[np.int64]
    kept: NDArray[np.bool_]
    prompts: int

    def add(
        self,
        prompts: NDArray[np.int64],
        experts: NDArray[np.integer],
        ranks: NDArray[np.int64],
        block_of: NDArray[np.int64],
    ) -> None:
        """Add some prompts.

        Parameters
        ----------
        prompts
            The prompt of each token ``(tokens,)``.
        experts
            Experts of each token ``(tokens, layers, k)``.
        ranks
            How many experts of its layer were used since each of them was ``(tokens, layers, k)``.
        block_of
            The block of each prompt of the signatures.
        """
        rows = np.flatnonzero(self.kept[prompts])
        if not len(rows):
            return
        prompts, experts, ranks = prompts[rows], experts[rows], ranks[rows]
        layers, width = self.order.shape
        blocks, number = block_of[prompts], len(self.tokens)
        there = experts >= 0
        self.tokens += np.bincount(blocks, minlength=number)
        self.selections += np.bincount(blocks, there.sum(axis=(1, 2)), number).astype(np.int64)
        depths = {
            "pinned": self.order[np.arange(layers)[:, None], np.maximum(experts, 0)] + 1,
            "lru": shared_lru_depths(experts, prompts, ranks, width),
        }
        for name, depth in depths.items():
            size = self.hits[name].shape[1]
            cells = (blocks[:, None, None] * size + depth)[there]
            self.hits[name] += np.bincount(cells, minlength=number * size).reshape(number, size)
        lanes = lanes_of_all_layers(experts, prompts, width)
        uses = uses_of(lanes)
        counts = depth_counts(lanes, uses, [belady_priorities(lanes, uses)])[0]
        in_order = prompts[np.diff(prompts, prepend=-1) != 0]
        np.add.at(self.hits["belady"][:, 1:-1], block_of[in_order][lanes.prompts], counts)


def empty_shared(
    learnt: NDArray[np.int64], halves: Halves, signatures: Signatures, *, tokens: str, seed: int
) -> SharedCounts:
    """Return sums of nothing yet, and choose the prompts to count.

    Parameters
    ----------
    learnt
        Uses of each expert in the learning half ``(layers, experts)``.
    halves
        The halves of the prompts.
    signatures
        Of all prompts.
    tokens
        Which tokens.
    seed
        Of the sample, where not all prompts are counted.
    """
    layers, width = learnt.shape
    lengths = signatures.lengths(tokens)
    moves = lengths[halves.scored] * int(signatures.top_k.astype(np.int64).sum()) * layers * width
    # Experts that a layer does not have come after all that are there.
    uses = np.where(np.arange(width) < signatures.experts[:, None], learnt, -1)
    drawn = halves.scored
    if moves.sum() > _MOST_MOVES:
        order = np.random.default_rng([seed, layers, width]).permutation(len(drawn))
        drawn = drawn[order[: max(1, int(np.searchsorted(np.cumsum(moves[order]), _MOST_MOVES, "right")))]]
    kept = np.zeros(len(lengths), dtype=bool)
    kept[drawn] = True
    blocks = len(halves.strata)
    return SharedCounts(
        hits={name: np.zeros((blocks, layers * width + 2), dtype=np.int64) for name in SHARED},
        selections=np.zeros(blocks, dtype=np.int64),
        tokens=np.zeros(blocks, dtype=np.int64),
        order=ranks_of(uses.ravel()).reshape(layers, width),
        kept=kept,
        prompts=len(drawn),
    )
