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
    """

    shift: float
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    pairs: NDArray[np.int64]
    magnitude: NDArray[np.float64]


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
        Of its square, to the prompt's own category and to all others together ``(prompts, 2)``.
    pairs
        Number of pairs of each prompt with each category ``(prompts, categories)``.
    """

    totals: PairTotals
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    pairs: NDArray[np.int64]


def pair_sums(units: NDArray[np.float64], numbers: NDArray[np.integer], categories: int) -> PairSums:
    """Sum over pairs in O(P·D·min(P, D)) time, from the Gram matrix or from second moments.

    Parameters
    ----------
    units
        Signatures of unit length ``(prompts, dimensions)``.
    numbers
        The category of each prompt, from 0 to ``categories - 1``.
    categories
        Number of categories.
    """
    reference = units.mean(axis=0) if len(units) else np.zeros(units.shape[1])
    sums = _from_matrix if len(units) <= units.shape[1] else _from_moments
    return sums(units, numbers, reference, categories)


def _by_category(numbers: NDArray[np.integer]) -> Iterable[NDArray[np.intp]]:
    """Yield blocks of places of prompts, ordered by category."""
    order = np.argsort(numbers, kind="stable")
    for start in range(0, len(order), _BLOCK):
        yield order[start : start + _BLOCK]


def totals_of(between: NDArray[np.float64], reference: NDArray[np.float64]) -> PairTotals:
    """Make the totals from `CategoryMoments.between`, summed over strips."""
    pairs, first, second, magnitude = between
    return PairTotals(float(reference @ reference), first, second, pairs.astype(np.int64), magnitude)


def numbers_of_pairs(numbers: NDArray[np.integer], categories: int) -> NDArray[np.int64]:  # (prompts, categories)
    """Count the pairs of each prompt with each category."""
    pairs = np.tile(np.bincount(numbers, minlength=categories), (len(numbers), 1))
    pairs[np.arange(len(numbers)), numbers] -= 1
    return np.asarray(pairs, dtype=np.int64)


def _from_matrix(
    units: NDArray[np.float64], numbers: NDArray[np.integer], reference: NDArray[np.float64], categories: int
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
        np.fill_diagonal(shifted[:, start:], 0)
        first[rows] = shifted @ marks
        squares[rows] = np.square(shifted, out=shifted) @ marks
    own = marks.astype(bool)
    second = np.column_stack([squares.sum(axis=1, where=own), squares.sum(axis=1, where=~own)])
    pairs = numbers_of_pairs(numbers, categories)
    sizes = np.array([sizes_of(rest[chosen], along[chosen]) for chosen in own.T])
    between = np.stack([*(marks.T @ part for part in (pairs, first, squares)), magnitudes(sizes)])
    return PairSums(totals_of(between, reference), first, second, pairs)


def _from_moments(
    units: NDArray[np.float64], numbers: NDArray[np.integer], reference: NDArray[np.float64], categories: int
) -> PairSums:
    def blocks() -> Iterable[UnitBlock]:
        return ((units[rows], numbers[rows]) for rows in _by_category(numbers))

    first, second = np.zeros((len(units), categories)), np.zeros((len(units), 2))
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
    return PairSums(totals_of(between, reference), first, second, numbers_of_pairs(numbers, categories))
