"""A cache that knows the next m tokens: how far a window of the future gets towards Belady's optimum."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.workloads.lanes import Lanes
from moexray.stats.workloads.stacks import EMPTY, HOLE, Stack, recency


def lookahead_depth_counts(lanes: Lanes, window: int) -> NDArray[np.int64]:  # (lanes, width)
    """Count requests by the smallest capacity at which they are hits, where what the next tokens use least goes first.

    This is SCH(m, ρ) of "Not All Models Suit Expert Offloading" (arXiv:2505.16056), m being the window and ρ capacity
    over k, of caches that start empty: that paper's code counts a load into an empty slot as a hit, this does not.
    Experts that the window uses equally often go in the order of their last use.

    Parameters
    ----------
    lanes
        The requests.
    window
        How many requests ahead are known.
    """
    steps, k, number = lanes.experts.shape
    each, bits = steps * k + 1, lanes.width.bit_length()
    highest = (min(window, steps) + 1) * each << bits
    kind: np.dtype[Any] = np.dtype(np.int32 if highest < 2**30 else np.int64)
    stack, counts = Stack(lanes.width, (number,), kind), np.zeros((2 * lanes.width, number), dtype=np.int64)
    # Keys of every expert as of now, in rows: of none, then of each; and the time of its last use in them.
    numbers, columns = np.arange(lanes.width + 1, dtype=kind)[:, None], np.arange(number)
    keys = np.repeat(numbers, number, axis=1)
    last, latest = np.zeros((lanes.width + 1, number), dtype=kind), (recency(lanes) << bits).astype(kind)
    one_more = kind.type(each << bits)
    for step in range(min(window, steps)):
        keys[lanes.experts[step] + 1, columns] += one_more
    for step, active in enumerate(lanes.active.tolist()):
        stack.shrink(active)
        if step + window < steps:
            keys[lanes.experts[step + window] + 1, columns] += one_more
        own, some = lanes.experts[step, :, :active] + 1, columns[:active]
        requested = keys[own, some] - one_more - last[own, some] + latest[step]
        keys[own, some] = HOLE
        keys[0] = EMPTY
        rows = stack.reach(k)
        rows[:] = keys.ravel()[(rows & ((1 << bits) - 1)) * number + some]
        counts[: len(rows), :active] += rows == HOLE
        stack.put(rows, own.astype(kind), None if (own > 0).all() else own > 0)
        keys[own, some] = requested
        last[own, some] = np.broadcast_to(latest[step], own.shape)
    return counts[: lanes.width].T
