"""Sums of similarity and of its square over the pairs of each prompt with each category."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.pairs.moments import CategoryMoments, PairForms, extended, magnitudes, sizes_of, strips

# Prompts in a block, and similarities held in memory at once.
_BLOCK, _MOST_NUMBERS = 1024, 2**24

# Unit signatures (rows, dimensions), and the category of each.
UnitBlock = tuple[NDArray[np.float64], NDArray[np.integer]]


@dataclass(frozen=True)
class PairTotals:
    """Sums over the pairs of the prompts of one category with those of another ``(categories, categories)``.

    Within a category each pair is counted twice, once from either prompt.

    Attributes
    ----------
    shift
        The constant that was subtracted from every similarity.
    first, second
        Sums of the shifted similarity and of its square.
    pairs
        Number of pairs.
    magnitude
        Size of the terms of `second` before they cancel; its rounding error is proportional to this.
    squared_rows
        Sum over the prompts of one category of the square of their `PairSums.first` with the other; None where prompts
        have groups.
    """

    shift: float
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    pairs: NDArray[np.int64]
    magnitude: NDArray[np.float64]
    squared_rows: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class PairSums:
    """Sums over the pairs of one prompt with all others, for every prompt.

    Attributes
    ----------
    totals
        The sums over the prompts of each category.
    first
        Of the shifted similarity to each category ``(prompts, categories)``.
    second
        Of its square, to the prompt's own category, to all others together, and to all others with the weight 1/n of a
        category of n prompts ``(prompts, 3)``.
    pairs
        Number of pairs of each prompt with each category ``(prompts, categories)``.
    squares
        As `second`, to each category ``(prompts, categories)``; None where it comes from moments.
    """

    totals: PairTotals
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    pairs: NDArray[np.int64]
    squares: NDArray[np.float64] | None = None


def pair_sums(
    units: NDArray[np.float64],
    numbers: NDArray[np.integer],
    categories: int,
    together: NDArray[np.integer] | None = None,
) -> PairSums:
    """Sum over pairs in O(P·D·min(P, D)) time, from the Gram matrix or from second moments.

    Parameters
    ----------
    units
        Signatures of unit length ``(prompts, dimensions)``.
    numbers
        The category of each prompt, from 0 to ``categories - 1``.
    categories
        Number of categories.
    together
        The unit of each prompt, two prompts of which are no pair: see `moexray.stats.inference.units`. By default every
        prompt is a unit of its own. With units the sums come from the Gram matrix, whatever the number of prompts.
    """
    reference = units.mean(axis=0) if len(units) else np.zeros(units.shape[1])
    if together is not None or len(units) <= units.shape[1]:
        return _from_matrix(units, numbers, reference, categories, together)
    return _from_moments(units, numbers, reference, categories)


def _by_category(numbers: NDArray[np.integer]) -> Iterable[NDArray[np.intp]]:
    """Yield blocks of places of prompts, ordered by category."""
    order = np.argsort(numbers, kind="stable")
    for start in range(0, len(order), _BLOCK):
        yield order[start : start + _BLOCK]


def totals_of(
    between: NDArray[np.float64], reference: NDArray[np.float64], squared_rows: NDArray[np.float64] | None
) -> PairTotals:
    """Make the totals from `CategoryMoments.between`, summed over strips."""
    pairs, first, second, magnitude = between
    return PairTotals(float(reference @ reference), first, second, pairs.astype(np.int64), magnitude, squared_rows)


def squared_rows_of(
    first: NDArray[np.float64], numbers: NDArray[np.integer]
) -> NDArray[np.float64]:  # (categories, categories)
    """Return `PairTotals.squared_rows`, or the part of some prompts, from their sums ``(prompts, categories)``."""
    return np.asarray(np.eye(first.shape[1])[numbers].T @ first**2)


def numbers_of_pairs(
    numbers: NDArray[np.integer], categories: int, together: NDArray[np.integer] | None = None
) -> NDArray[np.int64]:  # (prompts, categories)
    """Count the pairs of each prompt with each category, those inside a unit left out."""
    pairs = np.tile(np.bincount(numbers, minlength=categories), (len(numbers), 1))
    if together is None:
        pairs[np.arange(len(numbers)), numbers] -= 1
        return np.asarray(pairs, dtype=np.int64)
    held = np.zeros((int(together.max(initial=-1)) + 1, categories), dtype=np.int64)
    np.add.at(held, (together, numbers), 1)
    return np.asarray(pairs - held[together], dtype=np.int64)


def second_sums(
    squares: NDArray[np.float64], numbers: NDArray[np.integer], categories: int
) -> NDArray[np.float64]:  # (prompts, 3)
    """Return `PairSums.second` from the sums of squares to each category ``(prompts, categories)``."""
    own = np.eye(categories, dtype=bool)[numbers]
    weights = 1 / np.maximum(np.bincount(numbers, minlength=categories), 1)
    return np.column_stack(
        [squares.sum(axis=1, where=own), squares.sum(axis=1, where=~own), (squares * weights).sum(axis=1, where=~own)]
    )


def _from_matrix(
    units: NDArray[np.float64],
    numbers: NDArray[np.integer],
    reference: NDArray[np.float64],
    categories: int,
    together: NDArray[np.integer] | None,
) -> PairSums:
    rest = units - reference
    along = rest @ reference
    marks = np.eye(categories)[numbers]
    first, squares = np.empty((2, *marks.shape))
    size = max(1, _MOST_NUMBERS // max(1, len(units)))
    for start in range(0, len(units), size):
        rows = slice(start, start + size)
        shifted = rest[rows] @ rest.T
        shifted += along[rows, None] + along
        if together is None:
            np.fill_diagonal(shifted[:, start:], 0)
        else:
            shifted[together[rows, None] == together] = 0
        first[rows] = shifted @ marks
        squares[rows] = np.square(shifted, out=shifted) @ marks
    pairs = numbers_of_pairs(numbers, categories, together)
    sizes = np.array([sizes_of(rest[chosen], along[chosen]) for chosen in marks.astype(bool).T])
    between = np.stack([*(marks.T @ part for part in (pairs, first, squares)), magnitudes(sizes)])
    return PairSums(
        totals_of(between, reference, None if together is not None else squared_rows_of(first, numbers)),
        first,
        second_sums(squares, numbers, categories),
        pairs,
        squares=squares,
    )


def _from_moments(
    units: NDArray[np.float64], numbers: NDArray[np.integer], reference: NDArray[np.float64], categories: int
) -> PairSums:
    def blocks() -> Iterable[UnitBlock]:
        return ((units[rows], numbers[rows]) for rows in _by_category(numbers))

    first, second = np.zeros((len(units), categories)), np.zeros((len(units), 3))
    between = np.zeros((4, categories, categories))
    for columns in strips(len(reference), categories):
        moments = CategoryMoments(len(reference), categories, columns)
        for block in blocks():
            moments.add(extended(*block, reference))
        between += moments.between()
        forms = PairForms(moments)
        for rows, block in zip(_by_category(numbers), blocks(), strict=True):
            more = forms.sums(extended(*block, reference))
            first[rows] += more[0]
            second[rows] += more[1]
    totals = totals_of(between, reference, squared_rows_of(first, numbers))
    return PairSums(totals, first, second, numbers_of_pairs(numbers, categories))
