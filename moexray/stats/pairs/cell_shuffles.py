"""Permutation test of the category effect for any number of prompts: whole cells of prompts exchange their labels.

Prompts are put at random into B cells of equal size, independently of their labels. A permutation π of the cells gives
the prompt at place i of cell b the label of the prompt at place i of cell π(b). These permutations form a group, so a
test that draws them at random is exact (J. Hemerik and J. Goeman, TEST 27, 2018, theorem 2).

With M(b, b', c) the sum of the unit signatures of cell b whose counterparts in cell b' are of category c, the sum of
the signatures of category c under π is Σ_b M(b, π(b), c). So the signatures are read once, and the cost of a
permutation does not grow with the number of prompts. Sums of ones in place of signatures count the prompts of a
category that have a signature in a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import units_of
from moexray.stats.pairs.shuffled import difference_of_means
from moexray.stats.pairs.streaming import Blocks, unit_signatures

_MOST_CELLS, _LEAST_CELLS, _MOST_NUMBERS = 64, 8, 2**24


@dataclass(frozen=True)
class ShuffledDifferences:
    """Mean similarity within minus mean across; the first row is of the labels as they are.

    Attributes
    ----------
    whole
        Of whole signatures ``(1 + permutations,)``.
    layers
        Of each layer, under the same permutations ``(1 + permutations, layers)``.
    """

    whole: NDArray[np.float64]
    layers: NDArray[np.float64]


def shuffled_differences(
    blocks: Blocks, labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> ShuffledDifferences:
    """Compute the category effect under the labels as they are and under permuted labels, in one pass.

    A prompt without a signature in a layer takes part in the permutations, but not in that layer's effect.

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
    sums, fixed = _cell_sums(blocks, numbers, int(numbers.max()) + 1, generator)
    cells = np.arange(len(sums.whole))
    differences = []
    for permutation in range(1 + permutations):
        order = cells if permutation == 0 else generator.permutation(len(cells))
        of_cells = _Sums(*(part[cells, order].sum(axis=0) for part in sums))
        differences.append(_differences(_Sums(*map(np.add, fixed, of_cells))))
    found = np.array(differences)
    return ShuffledDifferences(found[:, 0], found[:, 1:])


class _Sums(NamedTuple):
    """Sums over the prompts of each category, after axes of cells.

    Attributes
    ----------
    whole, layers
        Of unit signatures, whole and of each layer ``(…, categories, layers, experts)``.
    prompts
        Of ones: prompts, and prompts with a signature in each layer ``(…, categories, 1 + layers)``.
    """

    whole: NDArray[np.float64]
    layers: NDArray[np.float64]
    prompts: NDArray[np.float64]


def _differences(sums: _Sums) -> NDArray[np.float64]:  # (1 + layers,)
    """Return the category effects; a sum of similarity over pairs is (|Σu|² − Σ|u|²) / 2."""
    within = np.append((sums.whole**2).sum(), (sums.layers**2).sum(axis=(0, 2)))
    every = np.append((sums.whole.sum(axis=0) ** 2).sum(), (sums.layers.sum(axis=0) ** 2).sum(axis=1))
    prompts = sums.prompts.sum(axis=0)
    return difference_of_means((within - prompts) / 2, (every - prompts) / 2, sums.prompts.T.astype(np.int64))


def _cell_sums(
    blocks: Blocks, numbers: NDArray[np.integer], categories: int, rng: np.random.Generator
) -> tuple[_Sums, _Sums]:
    """Return M, with an axis of cells and one of counterparts, and the sums over the prompts in no cell."""
    _, layers, experts = next(iter(blocks)).shape
    cells = _number_of_cells(len(numbers), categories * layers * experts)
    place, counterpart = _places(numbers, cells, rng)
    widths = np.array([layers * experts, layers * experts, 1 + layers])
    sums = [np.zeros((cells, cells * categories, width)) for width in widths]
    fixed = [np.zeros((categories, width)) for width in widths]
    start = 0
    for shares in blocks:
        views = _views(shares)
        at = place[start : start + len(shares)]
        for cell in range(cells):
            rows = np.flatnonzero(at[:, 0] == cell)
            marks = np.eye(categories)[counterpart[at[rows, 1]]].reshape(len(rows), cells * categories).T
            for part, view in zip(sums, views, strict=True):
                part[cell] += marks @ view[rows]
        rows = np.flatnonzero(at[:, 0] < 0)
        marks = np.eye(categories)[numbers[start + rows]].T
        for left_over, view in zip(fixed, views, strict=True):
            left_over[:] += marks @ view[rows]
        start += len(shares)
    shapes = (layers, experts), (layers, experts), (1 + layers,)
    return (
        _Sums(*(part.reshape(cells, cells, categories, *shape) for part, shape in zip(sums, shapes, strict=True))),
        _Sums(*(part.reshape(categories, *shape) for part, shape in zip(fixed, shapes, strict=True))),
    )


def _views(shares: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return unit signatures, whole and by layer side by side, and ones where there is a signature."""
    whole, by_layer = unit_signatures(shares)
    present = np.column_stack([np.ones(len(shares)), by_layer.any(axis=2)]).astype(np.float64)
    return [whole, by_layer.reshape(whole.shape), present]


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
