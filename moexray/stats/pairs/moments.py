"""Second moments of signatures by category: sums of similarity, and of its square, without the Gram matrix of pairs.

For unit signatures u and a reference vector m near them, let w = u − m and a = w·m. Then

    similarity(p, q) − |m|² = t(p, q) = w_p·w_q + a_p + a_q = z_p' M z_q    with z = (w, a, 1),

where M exchanges the last two coordinates. With S_c = Σ z_q z_q', the second moment of category c,

    Σ t(p, q) over q in c = z_p' M Σ z_q,
    Σ t(p, q)² over q in c = z_p' M S_c M z_p,
    Σ t(p, q)² over p in b and q in c = ⟨M S_b M, S_c⟩, an inner product of matrices.

So no pair is formed. Sums are of t, not of similarity s: for nearly equal signatures, Σs² − (Σs)²/n would cancel to
rounding error. Of a large S a strip of columns at a time is stored, down to the end of its diagonal block, which bounds
memory for any number of dimensions, categories and prompts. All products are NumPy's: SciPy's wrappers of BLAS hold the
interpreter's lock, so that threads would wait for each other.

Examples
--------
Two prompts of category 0, with similarity 0.6, and one of category 1, with similarities 0 and 0.8 to them. The
reference is 0, so that t is the similarity; within a category each pair counts twice.

>>> units, numbers = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), np.array([0, 0, 1])
>>> moments = CategoryMoments(dimensions=2, categories=2, columns=slice(0, 4))
>>> moments.add(extended(units, numbers, reference=np.zeros(2)))
>>> pairs, first, second, _ = moments.between()
>>> first.round(9).tolist(), second.round(9).tolist()
([[1.2, 0.8], [0.8, 0.0]], [[0.72, 0.64], [0.64, 0.0]])
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 2**30
_FORM_BLOCK = 192


@dataclass(frozen=True)
class Extended:
    """A block of prompts, ordered by category.

    Attributes
    ----------
    order
        The place of each row in the block.
    rows
        z ``(rows, dimensions + 2)``.
    parts
        Each category that occurs, with its rows.
    """

    order: NDArray[np.intp]
    rows: NDArray[np.float64]
    parts: list[tuple[int, slice]]


def extended(units: NDArray[np.float64], numbers: NDArray[np.integer], reference: NDArray[np.float64]) -> Extended:
    """Return z of unit vectors ``(rows, dimensions)``, ordered by category; `reference` is m."""
    order = np.argsort(numbers, kind="stable")
    rows = np.empty((len(units), len(reference) + 2))
    rest = rows[:, :-2]
    np.subtract(units if np.array_equal(order, np.arange(len(order))) else units[order], reference, out=rest)
    rows[:, -2] = np.einsum("ij,j->i", rest, reference)  # faster than a threaded product of this size
    rows[:, -1] = 1
    stops = np.cumsum(np.bincount(numbers)).tolist()
    parts = [(c, slice(*ends)) for c, ends in enumerate(pairwise([0, *stops])) if ends[0] < ends[1]]
    return Extended(order, rows, parts)


def strips(dimensions: int, categories: int) -> Iterator[slice]:
    """Yield strips of columns of S that fit into memory: usually one strip of all columns."""
    size = dimensions + 2
    held = _MOST_BYTES // (8 * (2 * categories + 1))
    start = 0
    while start < size:
        width = max(2, (isqrt(start**2 + 4 * held) - start) // 2)
        stop = size if start + width > size - 2 else start + width  # the last two are exchanged, so stay together
        yield slice(start, stop)
        start = stop


class CategoryMoments:
    """A strip of columns of S of each category, down to the diagonal; prompts are added block by block."""

    def __init__(self, dimensions: int, categories: int, columns: slice) -> None:
        width = columns.stop - columns.start
        self.columns, self.last = columns, columns.stop == dimensions + 2
        self.above = [np.zeros((columns.start, width)) for _ in range(categories)]
        self.block = [np.zeros((width, width)) for _ in range(categories)]
        self.own = np.zeros((categories, 2))  # Σt and Σt² of prompts with themselves, which are no pairs
        self.sizes = np.zeros((categories, 3))  # prompts, Σ|w|² and Σa²

    def add(self, block: Extended) -> None:
        """Add a block of prompts."""
        strip = block.rows[:, self.columns]
        own = with_themselves(block)
        for c, rows in block.parts:
            self.block[c] += strip[rows].T @ strip[rows]  # NumPy computes one triangle of it and copies the other
            if self.columns.start:
                self.above[c] += block.rows[rows, : self.columns.start].T @ strip[rows]
            self.own[c] += own[rows].sum(), (own[rows] ** 2).sum()
            self.sizes[c] += sizes_of(block.rows[rows, :-2], block.rows[rows, -2])

    def between(self) -> NDArray[np.float64]:  # (4, categories, categories)
        """Return number of pairs, Σt, Σt² and the size of the terms of Σt², between every two categories.

        Within a category each pair counts twice. This is the part of the strip; the parts of all strips add up.
        """
        categories = len(self.block)
        pairs, first, second, magnitude = np.zeros((4, categories, categories))
        plain = slice(None, -2) if self.last else slice(None)
        for b in range(categories):
            for c in range(b + 1):
                above = _inner(self.above[b][:, plain], self.above[c][:, plain])
                inside = _inner(self.block[b][plain, plain], self.block[c][plain, plain])
                second[b, c] = second[c, b] = 2 * above + inside
        if self.last:
            tilted, totals = (self._column(place) for place in (-2, -1))  # Σa z and Σz
            a, n = totals[:, -2], totals[:, -1]
            pairs = np.outer(n, n) - np.diag(n)
            first = totals[:, :-2] @ totals[:, :-2].T + both_ways(np.outer(a, n)) - np.diag(self.own[:, 0])
            mixed = 2 * tilted[:, :-2] @ totals[:, :-2].T + np.outer(tilted[:, -2], n)
            second += both_ways(mixed) + 2 * np.outer(a, a) - np.diag(self.own[:, 1])
            magnitude = magnitudes(self.sizes)
        return np.stack([pairs, first, second, magnitude])

    def exchanged(self, category: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return this strip of M S M: the part above the diagonal block, and the block."""
        above, block = self.above[category].copy(), self.block[category].copy()
        if self.last:
            for columns in (above, block, block.T):
                columns[:, [-2, -1]] = columns[:, [-1, -2]]
        return above, block

    def exchanged_totals(self) -> NDArray[np.float64]:  # (categories, dimensions + 2)
        """Return M Σz of each category; in the last strip only."""
        totals = self._column(-1)
        totals[:, [-2, -1]] = totals[:, [-1, -2]]
        return totals

    def _column(self, place: int) -> NDArray[np.float64]:  # (categories, dimensions + 2)
        """Return a column of S down to the diagonal: the last one, Σz, or the one before it, Σa z."""
        both = zip(self.above, self.block, strict=True)
        return np.stack([np.concatenate([above[:, place], block[:, place]]) for above, block in both])


class PairForms:
    """Quadratic forms of second moments: the sums over the pairs of single prompts with every category."""

    def __init__(self, moments: CategoryMoments) -> None:
        self.columns, self.last = moments.columns, moments.last
        self.totals = moments.exchanged_totals() if moments.last else None
        self.above, self.block = zip(*map(moments.exchanged, range(len(moments.block))), strict=True)
        self.every = sum(self.above[1:], start=self.above[0]), sum(self.block[1:], start=self.block[0])
        self.weights = 1 / np.maximum(moments.sizes[:, 0], 1)
        # Where categories have one size, a sum with these weights is a multiple of the sum without: nothing to add up.
        self.unequal = len(set(self.weights)) > 1
        if self.unequal:
            first, *others = zip(self.above, self.block, self.weights, strict=True)
            self.weighted = first[0] * first[2], first[1] * first[2]
            for above, inside, weight in others:
                self.weighted[0][:] += above * weight
                self.weighted[1][:] += inside * weight

    def sums(self, block: Extended) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum t over the pairs of each prompt with every category, and t² over those with its own and with others.

        The part of this strip, ``(rows, categories)`` and ``(rows, 3)``, in the order of the prompts in the block: t²
        over others both plain and with the weight 1/n of a category of n prompts. The moments must include these
        prompts.
        """
        first, own = np.zeros((len(block.rows), len(self.block))), np.empty(len(block.rows))
        every = self._forms(block.rows, *self.every)
        for c, rows in block.parts:
            own[rows] = self._forms(block.rows[rows], self.above[c], self.block[c])
        others = every - own
        if self.unequal:
            weighted = self._forms(block.rows, *self.weighted)
            for c, rows in block.parts:
                weighted[rows] -= own[rows] * self.weights[c]
        else:
            weighted = others * self.weights[0]
        if self.totals is not None:
            itself = with_themselves(block)
            for c, totals in enumerate(self.totals):
                first[:, c] = np.einsum("ij,j->i", block.rows, totals)
            for c, rows in block.parts:
                first[rows, c] -= itself[rows]
            own -= itself**2
        back = np.argsort(block.order)
        return first[back], np.column_stack([own, others, weighted])[back]

    def _forms(
        self, rows: NDArray[np.float64], above: NDArray[np.float64], inside: NDArray[np.float64]
    ) -> NDArray[np.float64]:  # (rows,)
        """Return the part of this strip in z'M S M z: twice what is above the diagonal block, and the block."""
        strip = rows[:, self.columns]
        found = symmetric_forms(strip, inside)
        if self.columns.start:
            found += 2 * np.einsum("ij,ij->i", rows[:, : self.columns.start] @ above, strip)
        return found


def symmetric_forms(rows: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows,)
    """Return z'Sz of each row z, for a symmetric S.

    Blocks of S below the diagonal are those above it, so they are counted twice instead of multiplied: 0.6 of the work.
    """
    found = np.zeros(len(rows))
    size = len(matrix)
    for start in range(0, size, _FORM_BLOCK):
        own = slice(start, start + _FORM_BLOCK)
        rest = slice(start + _FORM_BLOCK, size)
        found += np.einsum("ij,ij->i", rows[:, own] @ matrix[own, own], rows[:, own])
        if rest.start < size:
            found += 2 * np.einsum("ij,ij->i", rows[:, rest] @ matrix[rest, own], rows[:, own])
    return found


def with_themselves(block: Extended) -> NDArray[np.float64]:  # (rows,)
    """Return t of each prompt with itself."""
    rest = block.rows[:, :-2]
    return np.asarray(np.einsum("ij,ij->i", rest, rest) + 2 * block.rows[:, -2])


def sizes_of(rest: NDArray[np.float64], along: NDArray[np.float64]) -> tuple[int, float, float]:
    """Return the number of prompts, Σ|w|² and Σa²."""
    return len(rest), _inner(rest, rest), float(along @ along)


def magnitudes(sizes: NDArray[np.float64]) -> NDArray[np.float64]:  # (categories, categories)
    """Return Σ|w_p|²|w_q|² + a_p² + a_q², the size of the terms of Σt²: its rounding error is proportional to it.

    Parameters
    ----------
    sizes
        The `sizes_of` each category ``(categories, 3)``.
    """
    prompts, squares, along = sizes.T
    return np.outer(squares, squares) + both_ways(np.outer(along, prompts))


def both_ways(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix plus its transpose."""
    return matrix + matrix.T


def _inner(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.einsum("ij,ij->", first, second))
