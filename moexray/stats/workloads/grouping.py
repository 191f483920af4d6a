"""Batches of prompts that route alike: partitions by similarity, halves by Hamming distance, and what they read."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Words that are gathered at a time: some tens of megabytes.
_WORDS_AT_ONCE = 2**22
_ROUNDS = 10


def packed(chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:  # (…, words)
    """Return the last axis of an array of bits in words of 64."""
    width = chosen.shape[-1]
    padded = np.zeros((*chosen.shape[:-1], -(-width // 64) * 64), dtype=bool)
    padded[..., :width] = chosen
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def union_sizes(bits: NDArray[np.uint64], batches: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many bits the members of each batch have set together.

    Parameters
    ----------
    bits
        Of each prompt ``(prompts, words)``.
    batches
        The members of each batch ``(batches, size)``.
    """
    words = bits.shape[1]
    step = max(1, _WORDS_AT_ONCE // max(1, words * batches.shape[1]))
    found = np.zeros(len(batches), dtype=np.int64)
    for start in range(0, len(batches), step):
        union = np.bitwise_or.reduce(bits[batches[start : start + step]], axis=1)
        found[start : start + step] = np.bitwise_count(union).sum(axis=1, dtype=np.int64)
    return found


def nearest_batches(
    similarity: NDArray[np.floating], orders: NDArray[np.integer], size: int
) -> NDArray[np.int64]:  # (orders, batches, size)
    """Return batches of the first prompt that has none and the prompts without one that are most similar to it.

    Parameters
    ----------
    similarity
        Of each prompt to each ``(prompts, prompts)``.
    orders
        Orders in which prompts come ``(orders, prompts)``; of a number that is no multiple of `size`, the last are in
        no batch.
    size
        Prompts of a batch.
    """
    runs, number = len(orders), orders.shape[1] // size
    rank = np.full((runs, len(similarity)), np.inf)
    np.put_along_axis(rank, orders[:, : number * size], np.arange(number * size, dtype=float)[None], axis=1)
    free = np.isfinite(rank)
    found = np.empty((runs, number, size), dtype=np.int64)
    run = np.arange(runs)[:, None]
    for place in range(number):
        first = np.where(free, rank, np.inf).argmin(axis=1)
        near = np.where(free, similarity[first], -np.inf)
        near[run[:, 0], first] = np.inf
        members = np.argpartition(-near, size - 1, axis=1)[:, :size]
        free[run, members] = False
        found[:, place] = members
    return found


def two_means(shared: NDArray[np.integer], size: int) -> NDArray[np.bool_]:  # (problems, 2 · size)
    """Split the tokens of two batches anew into two of the same size, by 2-means on the Hamming distance of their rows.

    Of binary rows the Hamming distance is the squared Euclidean one, so that the numbers of experts that two rows share
    are all that is needed. The two rows that are farthest apart are the first centres; then each half takes the `size`
    rows that are nearer to its mean than to the other's, until nothing changes (token scheduling of arXiv:2410.17954).

    Parameters
    ----------
    shared
        Experts that each two tokens share ``(problems, 2 · size, 2 · size)``; on the diagonal, those of a token.
    size
        Tokens of a batch.

    Returns
    -------
    Which tokens are in the first half.
    """
    problems, tokens = shared.shape[:2]
    own = np.einsum("ptt->pt", shared)
    apart = own[:, :, None] + own[:, None, :] - 2 * shared
    one, other = np.divmod(apart.reshape(problems, -1).argmax(axis=1), tokens)
    row = np.arange(problems)
    nearer = (apart[row, one] - apart[row, other]).astype(np.float64)
    first = np.zeros((problems, tokens), dtype=bool)
    weights = shared.astype(np.float32)
    every = weights.sum(axis=2)
    for _ in range(_ROUNDS):
        now = np.zeros_like(first)
        np.put_along_axis(now, np.argsort(nearer, axis=1, kind="stable")[:, :size], values=True, axis=1)
        if np.array_equal(now, first):
            break
        first = now
        # |x − mean|² = |x|² − 2/B Σ_j x·x_j + 1/B² Σ_jj' x_j·x_j'; the first term is the same for both halves.
        to_first = (weights @ first[..., None].astype(np.float32))[..., 0]
        nearer = (
            2 * (every - 2 * to_first) / size
            + ((to_first * first).sum(axis=1, keepdims=True) - ((every - to_first) * ~first).sum(axis=1, keepdims=True))
            / size**2
        )
    return first


def without_repeats(
    batches: Sequence[NDArray[np.integer]],
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the different batches among several arrays ``(…, size)`` of them, and the place of each among these.

    The order of members does not matter.
    """
    flat = [np.sort(one.reshape(-1, one.shape[-1]), axis=1) for one in batches]
    different, places = np.unique(np.concatenate(flat), axis=0, return_inverse=True)
    ends = np.cumsum([len(one) for one in flat])[:-1]
    return different, np.split(places.ravel(), ends)
