"""Permutation test of the category effect for any number of prompts: whole cells of prompts exchange their labels.

Prompts are put at random into B cells of equal size, independently of their labels. A permutation π of the cells gives
the prompt at place i of cell b the label of the prompt at place i of cell π(b). These permutations form a group, so a
test that draws them at random is exact (J. Hemerik and J. Goeman, TEST 27, 2018, theorem 2).

With M(b, b', c) the sum of the unit signatures of cell b whose counterparts in cell b' are of category c, the sum of
the signatures of category c under π is Σ_b M(b, π(b), c). So the signatures are read once, and the cost of a
permutation does not grow with the number of prompts.
"""

from collections.abc import Sequence
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import units_of
from moexray.stats.pairs.shuffled import difference_of_means
from moexray.stats.pairs.similarity import unit_rows
from moexray.stats.pairs.streaming import Blocks

_MOST_CELLS, _LEAST_CELLS, _MOST_NUMBERS = 64, 8, 2**24


def shuffled_differences(
    blocks: Blocks, labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> NDArray[np.float64]:  # (1 + permutations,)
    """Return mean similarity within minus mean across of the labels as they are, then of permuted ones, in one pass.

    Parameters
    ----------
    blocks
        Signatures of consecutive prompts ``(rows, layers, experts)`` each, none of them zero in every layer.
    labels
        The category of every prompt.
    permutations
        Number of permutations.
    rng
        Seed or generator of the cells and the permutations.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    generator = np.random.default_rng(rng)
    units = units_of(labels)
    units.check_pairs()
    numbers = units.categories
    sizes = np.bincount(numbers)
    sums, fixed = _cell_sums(blocks, numbers, len(sizes), generator)
    cells = np.arange(len(sums))
    within, every = np.empty((2, 1 + permutations))
    for permutation in range(1 + permutations):
        order = cells if permutation == 0 else generator.permutation(len(cells))
        of_categories = fixed + sums[cells, order].sum(axis=0)
        # A sum of similarity over pairs is (|Σu|² − Σ|u|²) / 2.
        within[permutation] = ((of_categories**2).sum() - len(numbers)) / 2
        every[permutation] = ((of_categories.sum(axis=0) ** 2).sum() - len(numbers)) / 2
    return difference_of_means(within, every, sizes)


def _cell_sums(
    blocks: Blocks, numbers: NDArray[np.integer], categories: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return M ``(cells, counterparts, categories, dimensions)``, and the sums over the prompts in no cell."""
    _, layers, experts = next(iter(blocks)).shape
    dimensions = layers * experts
    cells = _number_of_cells(len(numbers), categories * dimensions)
    place, counterpart = _places(numbers, cells, rng)
    sums, fixed = np.zeros((cells, cells * categories, dimensions)), np.zeros((categories, dimensions))
    start = 0
    for shares in blocks:
        units = unit_rows(shares.reshape(len(shares), dimensions))
        at = place[start : start + len(shares)]
        for cell in range(cells):
            rows = np.flatnonzero(at[:, 0] == cell)
            marks = np.eye(categories)[counterpart[at[rows, 1]]].reshape(len(rows), cells * categories).T
            sums[cell] += marks @ units[rows]
        rows = np.flatnonzero(at[:, 0] < 0)
        fixed += np.eye(categories)[numbers[start + rows]].T @ units[rows]
        start += len(shares)
    return sums.reshape(cells, cells, categories, dimensions), fixed


def _number_of_cells(prompts: int, numbers_each: int) -> int:
    return min(prompts, max(_LEAST_CELLS, min(_MOST_CELLS, isqrt(_MOST_NUMBERS // numbers_each))))


def _places(
    numbers: NDArray[np.integer], cells: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """Return each prompt's cell and place in it (−1 for a prompt in no cell), and the category at (place, cell)."""
    each = len(numbers) // cells
    order = rng.permutation(len(numbers))[: cells * each].reshape(cells, each)
    place = np.full((len(numbers), 2), -1)
    place[order, 0], place[order, 1] = np.arange(cells)[:, None], np.arange(each)
    return place, numbers[order].T
