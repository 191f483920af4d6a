"""Similarity of any number of prompts, of all layers and of each, in three passes over blocks of them.

What is kept is of the size of a category's second moments, D² numbers, and some forty numbers a prompt and layer.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.stats.auc import Auc
from moexray.stats.pair_sums import CategoryMoments, PairSums, numbers_of_pairs
from moexray.stats.pairs import Pairs
from moexray.stats.similarity import CategoryEffect, Similarity, effect_between, summarised, unit_rows

# Signatures of consecutive prompts, (rows, layers, experts); it must be possible to go through them again.
Blocks = Iterable[NDArray[np.float64]]


def similarity_of_blocks(
    blocks: Blocks, labels: Sequence[str], *, auc: Auc | None
) -> tuple[Similarity, list[CategoryEffect]]:
    """Summarise the similarity of all pairs, as `moexray.stats.similarity.similarity` does, whole and layer by layer.

    Takes O(P·D²) time. The passes: the mean of the unit signatures, the second moments of each category about
    it, and from these the sums over the pairs of each prompt.

    Parameters
    ----------
    blocks
        Signatures of consecutive prompts ``(rows, layers, experts)`` each, none of them zero.
    labels
        The category of every prompt.
    auc
        Of the pairs, from elsewhere: sums do not hold it.
    """
    categories, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    moments = [CategoryMoments(mean, len(categories)) for mean in _means(blocks)]
    for rows, views in _numbered(blocks, numbers):
        for moment, units in zip(moments, views, strict=True):
            moment.add(units, rows)
    # Of the layers only the sums within and across are kept: (prompts, layers, sums of s and s² for both).
    whole, layers = np.empty((2, len(numbers), len(categories))), np.empty((len(numbers), len(moments) - 1, 4))
    start = 0
    for rows, views in _numbered(blocks, numbers):
        stop = start + len(rows)
        whole[:, start:stop] = moments[0].sums(next(views), rows)
        own = np.eye(len(categories))[rows]
        for layer, units in enumerate(views):
            first, second = moments[1 + layer].sums(units, rows)
            within = [(first * own).sum(axis=1), (second * own).sum(axis=1)]
            across = [first.sum(axis=1) - within[0], second.sum(axis=1) - within[1]]
            layers[start:stop, layer] = np.column_stack([*within, *across])
        start = stop
    pairs = numbers_of_pairs(numbers, len(categories))
    sums = PairSums(moments[0].shift, whole[0], whole[1], pairs)
    shifts = [moment.shift for moment in moments[1:]]
    return summarised(sums, list(categories), numbers, auc), _layers(layers, shifts, pairs, numbers)


def views(shares: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:  # (rows, dimensions) each
    """Yield the signatures of a block at unit length: whole, then layer by layer."""
    yield unit_rows(shares.reshape(len(shares), shares.shape[1] * shares.shape[2]))
    for layer in range(shares.shape[1]):
        yield unit_rows(shares[:, layer])


def _numbered(
    blocks: Blocks, numbers: NDArray[np.integer]
) -> Iterator[tuple[NDArray[np.integer], Iterator[NDArray[np.float64]]]]:
    start = 0
    for shares in blocks:
        yield numbers[start : start + len(shares)], views(shares)
        start += len(shares)


def _means(blocks: Blocks) -> list[NDArray[np.float64]]:
    prompts = 0
    totals: list[NDArray[np.float64]] = []
    for shares in blocks:
        found = [units.sum(axis=0) for units in views(shares)]
        totals = [total + more for total, more in zip(totals, found, strict=True)] if totals else found
        prompts += len(shares)
    return [total / prompts for total in totals]


def _layers(
    sums: NDArray[np.float64], shifts: Sequence[float], pairs: NDArray[np.int64], numbers: NDArray[np.integer]
) -> list[CategoryEffect]:
    own = pairs[np.arange(len(numbers)), numbers]
    others = pairs.sum(axis=1) - own
    found = []
    for layer, shift in enumerate(shifts):
        within = Pairs(shift, own, sums[:, layer, 0], sums[:, layer, 1])
        across = Pairs(shift, others, sums[:, layer, 2], sums[:, layer, 3])
        found.append(effect_between(within, across, numbers))
    return found
