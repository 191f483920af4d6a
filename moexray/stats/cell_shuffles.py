"""Shuffles of the labels of very many prompts, each at a cost that does not grow with their number.

Prompts are put at random into B cells of equally many places, without a look at their labels. A shuffle exchanges
cells: the prompt at place i of cell b gets the label of the prompt at place i of another cell π(b). Such shuffles
form a group, so a test that draws them at random is exact (J. Hemerik and J. Goeman, TEST 27, 2018, theorem 2).
With M(b, b', c) the sum of the unit signatures of cell b whose counterparts in cell b' are of category c, the sum
over category c under π is Σ_b M(b, π(b), c): the signatures are read once, whatever the number of shuffles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from moexray.stats.permutation import category_numbers, difference_of_means
from moexray.stats.streaming import Blocks, views

_MOST_CELLS, _LEAST_CELLS, _MOST_NUMBERS = 64, 8, 2**24


@dataclass(frozen=True)
class ShuffledDifferences:
    """Mean similarity within less mean across; the first row is of the labels as they are.

    Attributes
    ----------
    whole
        Of whole signatures ``(1 + permutations,)``.
    layers
        Of each layer, under the same shuffles ``(1 + permutations, layers)``.
    """

    whole: NDArray[np.float64]
    layers: NDArray[np.float64]


def shuffled_differences(
    blocks: Blocks, labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> ShuffledDifferences:
    """Compute the category effect under the labels as they are and under shuffles of them, in one pass.

    Parameters
    ----------
    blocks
        Signatures of consecutive prompts ``(rows, layers, experts)`` each, none of them zero.
    labels
        The category of every prompt.
    permutations
        Number of shuffles.
    rng
        Seed or generator of the cells and the shuffles.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    generator = np.random.default_rng(rng)
    numbers = category_numbers(labels)
    sizes = np.bincount(numbers)
    sums, fixed, layers = _cell_sums(blocks, numbers, len(sizes), generator)
    cells = np.arange(len(sums))
    differences = []
    for shuffle in range(1 + permutations):
        order = cells if shuffle == 0 else generator.permutation(len(cells))
        totals = fixed + sums[cells, order].sum(axis=0)  # (categories, whole and layers, experts)
        squares = (totals**2).sum(axis=(0, 2)), (totals.sum(axis=0) ** 2).sum(axis=1)
        whole = [np.append(part[:layers].sum(), part[layers:]) for part in squares]
        differences.append(difference_of_means((whole[0] - len(numbers)) / 2, (whole[1] - len(numbers)) / 2, sizes))
    found = np.array(differences)
    return ShuffledDifferences(found[:, 0], found[:, 1:])


def _cell_sums(
    blocks: Blocks, numbers: NDArray[np.integer], categories: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return M ``(cells, cells, categories, 2 · layers, experts)``, the sums of those in no cell, and layers.

    Of the 2 · layers the first half are parts of whole unit signatures, the others unit signatures of a layer.
    """
    _, layers, experts = next(iter(blocks)).shape
    cells = _number_of_cells(len(numbers), categories * layers * experts)
    place, counterpart = _places(numbers, cells, rng)
    sums = np.zeros((cells, cells * categories, 2 * layers * experts))
    fixed = np.zeros((categories, 2 * layers * experts))
    start = 0
    for shares in blocks:
        units = np.concatenate(list(views(shares)), axis=1)
        at = place[start : start + len(units)]
        for cell in range(cells):
            rows = np.flatnonzero(at[:, 0] == cell)
            marks = np.eye(categories)[counterpart[at[rows, 1]]]
            sums[cell] += marks.reshape(len(rows), cells * categories).T @ units[rows]
        rows = np.flatnonzero(at[:, 0] < 0)
        fixed += np.eye(categories)[numbers[start + rows]].T @ units[rows]
        start += len(units)
    return sums.reshape(cells, cells, categories, 2 * layers, -1), fixed.reshape(categories, 2 * layers, -1), layers


def _number_of_cells(prompts: int, numbers_each: int) -> int:
    return min(prompts, max(_LEAST_CELLS, min(_MOST_CELLS, isqrt(_MOST_NUMBERS // numbers_each))))


def _places(
    numbers: NDArray[np.integer], cells: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """Return each prompt's cell and place in it, −1 for what is left over, and the category at (place, cell)."""
    each = len(numbers) // cells
    order = rng.permutation(len(numbers))[: cells * each].reshape(cells, each)
    place = np.full((len(numbers), 2), -1)
    place[order, 0], place[order, 1] = np.arange(cells)[:, None], np.arange(each)
    return place, numbers[order].T
