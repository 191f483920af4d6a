"""Sums of similarity and of its square over the pairs of each prompt with each category, at any number of prompts.

With unit signatures u, similarity is s(p, q) = u_p·u_q. Sums are taken of t = s − |m|² instead, where m is
the mean of u: for signatures that are much alike, Σs² − (Σs)²/n would leave nothing but rounding. With
w = u − m and a = w·m, t(p, q) = w_p·w_q + a_p + a_q, which is z_p' M z_q for z = (w, a, 1) and M the exchange of
the last two coordinates. So over the prompts q of a category, Σt = z_p' M Σz_q, and
Σt² = z_p' M (Σ z_q z_q') M z_p: no pair is ever looked at, and D² numbers a category are all that is kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096


@dataclass(frozen=True)
class PairSums:
    """Sums over the pairs of one prompt with all others of one category, for every prompt and category.

    Attributes
    ----------
    shift
        What was taken off every similarity.
    first, second
        Sums of the shifted similarity and of its square ``(prompts, categories)``.
    pairs
        How many pairs they are over ``(prompts, categories)``.
    """

    shift: float
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    pairs: NDArray[np.int64]


def pair_sums(units: NDArray[np.float64], numbers: NDArray[np.int64], categories: int) -> PairSums:
    """Sum over pairs in O(P·D·min(P, D)) time.

    Parameters
    ----------
    units
        Signatures of unit length ``(prompts, dimensions)``.
    numbers
        The category of each prompt, from 0 to ``categories - 1``.
    """
    mean = units.mean(axis=0)
    sums = _from_matrix if len(units) <= units.shape[1] else _from_moments
    first, second = sums(units, mean, numbers, categories)
    return PairSums(float(mean @ mean), first, second, numbers_of_pairs(numbers, categories))


def _from_matrix(
    units: NDArray[np.float64], mean: NDArray[np.float64], numbers: NDArray[np.int64], categories: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shifted = _shifted_similarities(units, mean)
    np.fill_diagonal(shifted, 0)
    marks = np.eye(categories)[numbers]
    return shifted @ marks, shifted**2 @ marks


def _shifted_similarities(units: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    left, right = _extended(units, mean)
    return left @ right.T


class CategoryMoments:
    """Σz and Σzz' of each category, to which prompts are added block by block: all that sums over pairs need."""

    def __init__(self, mean: NDArray[np.float64], categories: int) -> None:
        size = len(mean) + 2
        self.mean = mean
        self.totals = np.zeros((categories, size))
        self.squares = np.zeros((categories, size, size))

    @property
    def shift(self) -> float:
        """What is taken off every similarity."""
        return float(self.mean @ self.mean)

    def add(self, units: NDArray[np.float64], numbers: NDArray[np.integer]) -> None:
        """Add prompts: unit vectors ``(rows, dimensions)`` and the category of each."""
        _, exchanged = _extended(units, self.mean)
        for category in np.unique(numbers):
            chosen = exchanged[numbers == category]
            self.totals[category] += chosen.sum(axis=0)
            self.squares[category] += chosen.T @ chosen

    def sums(
        self, units: NDArray[np.float64], numbers: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (rows, categories), twice
        """Sum the shifted similarity and its square over the pairs of each of these prompts, all added before."""
        extended, exchanged = _extended(units, self.mean)
        own = np.einsum("ij,ij->i", extended, exchanged)
        first = extended @ self.totals.T
        second = np.column_stack([np.einsum("ij,ij->i", extended @ square, extended) for square in self.squares])
        places = np.arange(len(units)), numbers
        first[places] -= own
        second[places] -= own**2
        return first, second


def _from_moments(
    units: NDArray[np.float64], mean: NDArray[np.float64], numbers: NDArray[np.int64], categories: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    moments = CategoryMoments(mean, categories)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(units), _BLOCK)]
    for rows in blocks:
        moments.add(units[rows], numbers[rows])
    first, second = zip(*(moments.sums(units[rows], numbers[rows]) for rows in blocks), strict=True)
    return np.concatenate(first), np.concatenate(second)


def numbers_of_pairs(numbers: NDArray[np.integer], categories: int) -> NDArray[np.int64]:  # (prompts, categories)
    """How many pairs each prompt makes with each category."""
    pairs = np.tile(np.bincount(numbers, minlength=categories), (len(numbers), 1))
    pairs[np.arange(len(numbers)), numbers] -= 1
    return np.asarray(pairs, dtype=np.int64)


def _extended(
    units: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (rows, dimensions + 2), twice
    """Return z and M z of every row."""
    rest = units - mean
    along = rest @ mean
    ones = np.ones(len(units))
    return np.column_stack([rest, along, ones]), np.column_stack([rest, ones, along])
