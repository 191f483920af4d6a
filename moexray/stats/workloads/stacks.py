"""Caches of every capacity at once: one pass over a stack of experts, for any policy that ranks what it holds.

A policy keeps the experts of a request and, in the slots that are left, those that it held of the highest priority.
If priorities do not depend on the capacity, a smaller cache holds a part of what a larger one holds (R. Mattson,
J. Gecsei, D. Slutz and I. Traiger, IBM Systems Journal 9, 1970), which is as true where a request is a set. So the
caches of all capacities are one list, the stack: a cache of capacity C holds its first C experts.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.workloads.lanes import Lanes, Uses

# Priorities, and what tells experts apart, in numbers as wide as they need.
Keys = NDArray[np.signedinteger[Any]]
# A place of the stack without an expert, and the place of an expert that was requested and goes to the top.
EMPTY, HOLE = 0, -1
# How often the engine looks how deep the stacks are by now.
_EVERY = 8
# Numbers of one stack of lanes that are worked on together, so that they stay in the processor's cache.
_TOGETHER = 2**18


def recency(lanes: Lanes) -> NDArray[np.int64]:
    """Return how late each request is ``(steps, k, 1)``, from one; of one token the expert of most weight is last."""
    steps, k = lanes.experts.shape[:2]
    return np.asarray(np.arange(steps)[:, None] * k + np.arange(k)[::-1] + 1)[..., None]


def lru_priorities(lanes: Lanes) -> NDArray[np.int64]:
    """Return priorities of LRU: what was requested last stays."""
    return np.broadcast_to(recency(lanes), lanes.experts.shape)


def lfu_priorities(lanes: Lanes, uses: Uses) -> NDArray[np.int64]:
    """Return priorities of LFU: what was requested most often so far stays, held or not; then what was last."""
    steps, k = lanes.experts.shape[:2]
    return np.asarray(uses.so_far.astype(np.int64) * (steps * k + 1) + recency(lanes))


def belady_priorities(lanes: Lanes, uses: Uses) -> NDArray[np.int64]:
    """Return priorities of Belady's optimum: what is requested soonest stays (L. Belady, IBM Systems Journal 5, 1966).

    It gives the fewest misses of all policies that start empty and keep each request; brute force agrees in tests.
    """
    return np.asarray(lanes.steps + 2 - uses.next_use.astype(np.int64))


def fixed_priorities(lanes: Lanes, ranks: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return priorities by a fixed order of experts.

    Parameters
    ----------
    ranks
        Place of each expert of each layer, zero for the one that goes last ``(layers, experts)``.
    """
    return np.asarray(ranks.shape[1] - ranks[lanes.layers, np.maximum(lanes.experts, 0)].astype(np.int64))


def depth_counts(lanes: Lanes, uses: Uses, policies: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """Count requests by the smallest capacity at which they are hits, for several policies.

    Parameters
    ----------
    lanes, uses
        The requests, and where each stands among those for the same expert.
    policies
        Of each policy the priority, above zero, that an expert has from each request to its next ``(steps, k, lanes)``.

    Returns
    -------
    Hits at each depth ``(policies, lanes, width)``: a cache of capacity C ≥ k has as hits the sum of the first C.
    """
    number = lanes.experts.shape[2]
    size = max(1, _TOGETHER // max(1, lanes.width * len(policies)))
    found = np.zeros((len(policies), number, lanes.width), dtype=np.int64)
    for start in range(0, number, size):
        part = slice(start, start + size)
        some = [np.broadcast_to(one, lanes.experts.shape)[..., part] for one in policies]
        found[:, part] = _counts(_part(lanes, part), uses.next_use[..., part], some)
    return found


def _part(lanes: Lanes, part: slice) -> Lanes:
    lengths = lanes.lengths[part]
    return Lanes(lanes.experts[: lengths[0], :, part], lengths, lanes.prompts[part], lanes.layers[part], lanes.width)


def _counts(
    lanes: Lanes, next_use: NDArray[np.int32], policies: Sequence[NDArray[np.integer]]
) -> NDArray[np.int64]:  # (policies, lanes, width)
    steps, k, number = lanes.experts.shape
    # The step of the next request stands in the low bits: at that step the expert is found by it, wherever it is.
    step_bits = int(next_use.max(initial=0)).bit_length()
    highest = max(int(one.max(initial=0)) for one in policies)
    kind: np.dtype[Any] = np.dtype(np.int32 if highest << step_bits < 2**30 else np.int64)
    keys = np.stack([one[:steps].astype(kind) for one in policies], axis=2)  # (steps, k, policies, lanes)
    keys = (keys << step_bits) + next_use[:steps, :, None].astype(kind)
    stack = Stack(lanes.width, (len(policies), number), kind)
    some_missing = bool((lanes.experts[:, -1] < 0).any())
    counts = np.zeros((stack.rows.shape[0], len(policies), number), dtype=np.int32)
    for step, active in enumerate(lanes.active.tolist()):
        stack.shrink(active)
        rows = stack.reach(k)
        wanted = (rows & ((1 << step_bits) - 1)) == step + 1
        counts[: len(rows), :, :active] += wanted
        np.copyto(rows, HOLE, where=wanted)
        there = lanes.experts[step, :, :active] >= 0 if some_missing else None
        stack.put(rows, keys[step, ..., :active], there)
    return np.moveaxis(counts[: lanes.width], 0, 2).astype(np.int64)


class Stack:
    """Stacks side by side ``(rows, …, lanes)``, whose keys are the higher the longer an expert should stay."""

    def __init__(self, width: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        self._group = max(1, isqrt(width))
        height = -(-width // self._group) * self._group
        self.rows = np.full((height, *shape), EMPTY, dtype=kind)
        self._top = np.iinfo(kind).max
        self._deep = 0
        self._steps = 0
        self._low = np.empty_like(self.rows)

    def shrink(self, lanes: int) -> None:
        """Go on with the first lanes alone."""
        if lanes < self.rows.shape[-1]:
            self.rows = np.ascontiguousarray(self.rows[..., :lanes])
            self._low = np.empty_like(self.rows)

    def reach(self, more: int) -> Keys:
        """Return as many rows, in whole groups, as may hold an expert once `more` were put on top."""
        if self._steps % _EVERY == 0:
            while self._deep and not self.rows[self._deep - 1].any():
                self._deep -= 1
        self._steps += 1
        self._deep = min(self._deep + more, len(self.rows))
        found: Keys = self.rows[: -(-self._deep // self._group) * self._group]
        return found

    def put(
        self,
        rows: Keys,
        keys: Keys,
        there: NDArray[np.bool_] | None,
    ) -> None:
        """Put a request on top: what it held before are holes, and what it pushes out settles into them.

        An expert goes down with each key that is put on top of it as far as the next one of a higher key: what is
        carried past a place is the lowest of all above it.

        Parameters
        ----------
        rows
            What `reach` returned, with a hole where an expert of the request was.
        keys
            The new keys ``(k, …, lanes)``.
        there
            Which of them are requested ``(k, lanes)``; None for all.
        """
        height, low = len(rows), self._low[: len(rows)]
        grouped, low_grouped = (one.reshape(height // self._group, self._group, *one.shape[1:]) for one in (rows, low))
        for place in range(len(keys)):
            low_grouped[:, 0] = grouped[:, 0]
            for row in range(1, self._group):
                np.minimum(low_grouped[:, row - 1], grouped[:, row], out=low_grouped[:, row])
            for group in range(1, len(grouped)):
                np.minimum(low_grouped[group - 1, -1], low_grouped[group], out=low_grouped[group])
            put: NDArray[np.bool_] | bool = True if there is None else there[place]
            if there is not None:
                low[..., ~there[place]] = HOLE  # nothing is put on these, and nothing moves
            np.maximum(low[:-1], rows[1:], out=rows[1:])
            np.copyto(rows[0], self._top, where=put)
        for place, key in enumerate(keys):
            np.copyto(rows[place], key, where=True if there is None else there[place])
