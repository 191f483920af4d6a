"""Mean products of the pairs of prompts within and across categories, without each unit, for many labelings at once."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LEAST_UNITS = 3


@dataclass(frozen=True)
class CategoryPairs:
    """The pairs of some prompts from different units.

    In the shapes below, parts stand before labelings, so that all labelings of a block are one matrix product.

    Attributes
    ----------
    units
        What no two prompts of are a pair.
    sums, squares, sizes
        The sum of the vectors of each part ``(parts, dimensions)``, of their squared lengths and the number of its
        prompts ``(parts,)``; all are zero where no prompt of it has one.
    """

    units: Units
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @staticmethod
    def of(vectors: NDArray[np.float64], units: Units, present: NDArray[np.bool_]) -> "CategoryPairs":
        """Return the pairs of the prompts that are present; the vectors of the others are zero."""
        squares = np.einsum("ij,ij->i", vectors, vectors)
        return CategoryPairs(units, *map(units.sums, (vectors, squares, present.astype(np.float64))))

    @property
    def numbers(self) -> int:
        """Numbers in the largest array that one labeling needs."""
        categories = len(self.units.names)
        return max(len(self.sizes), (self.units.design == "crossed") * len(self.units) * categories) * categories

    def means(self, labelings: NDArray[np.integer]) -> NDArray[np.float64]:  # (labelings, categories, categories)
        """Return the mean product over the pairs within a category, on the diagonal, and across each two."""
        marks = self._marks(labelings)
        return np.asarray(_between(marks, self._products(marks)) / _between(marks, self._pairs(marks)))

    def distances(
        self, labelings: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (labelings,), (units, labelings)
        """Return θ = Σ_{c<d} (A_c + A_d − 2 B_cd), and how much it changes where each unit is left out.

        With M_cd the means, θ = C·Σ M_cc − Σ M_cd. Both are zero for labelings that leave a category fewer than three
        units with vectors.
        """
        marks = self._marks(labelings)
        products, pairs = self._products(marks), self._pairs(marks)
        totals, numbers = _between(marks, products), _between(marks, pairs)
        numbers[~self._enough(marks)] = np.inf
        change = self._crossed_changes if self.units.design == "crossed" else self._nested_changes
        changes = change(labelings, (products, pairs), totals, numbers)
        return _distance(totals / numbers), changes

    def spreads(
        self, labelings: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (labelings, categories), (parts, labelings)
        """Return the variance of each category, and that of each part's own category without the part.

        The variance is half the mean squared distance over the pairs within a category, |p|²/2 + |q|²/2 − p·q. All are
        zero for labelings that leave a category fewer than three units with vectors.
        """
        marks, own, every = self._marks(labelings), labelings.T, np.arange(len(labelings))
        products = (marks * self._products(marks)).sum(axis=2)
        sizes, squares = self.sizes[:, None], self.squares[:, None]
        others, squares_of_others = (
            np.einsum("alc,a->lc", marks, values)[every, own] - values[:, None] for values in (self.sizes, self.squares)
        )
        halves = (squares * others + sizes * squares_of_others) / 2 - products
        pairs = sizes * others
        totals, numbers = (np.einsum("alc,al->lc", marks, values) for values in (halves, pairs))
        numbers[~self._enough(marks)] = np.inf
        without = (totals[every, own] - 2 * halves) / (numbers[every, own] - 2 * pairs)
        return totals / numbers, without

    def variances(self, changes: NDArray[np.float64], labelings: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the jackknife variance ``(labelings,)`` of a statistic from how each unit left out changes it."""
        # The sample of a unit of one category follows its label; the crossed units are one sample of their own.
        strata = np.full((len(self.units), len(labelings)), len(self.units.names))
        alone = self._alone
        strata[self.units.part_units[alone]] = labelings.T[alone]
        variance = np.zeros(len(labelings))
        for stratum, size in enumerate(np.bincount(self.units.strata)):
            if size:
                inside = np.where(strata == stratum, changes, 0)
                variance += (size - 1) / size * ((inside**2).sum(axis=0) - inside.sum(axis=0) ** 2 / size)
        return variance.clip(0)

    @cached_property
    def _alone(self) -> NDArray[np.bool_]:  # (parts,)
        return (self.units.strata < len(self.units.names))[self.units.part_units]

    @cached_property
    def _whole(self) -> NDArray[np.float64] | None:  # (parts, parts)
        """The products of all parts, where that is less work than to go by way of dimensions."""
        if len(self.sums) > 2 * self.sums.shape[1]:
            return None
        products = self.sums @ self.sums.T
        products[self.units.part_units[:, None] == self.units.part_units] = 0
        return products

    @cached_property
    def _inside(self) -> "csr_array":  # (parts, parts)
        """The products of parts of one unit, themselves included."""
        from scipy.sparse import csr_array

        parts = np.arange(len(self.sums))
        same = csr_array((np.ones(len(parts)), (parts, self.units.part_units)), shape=(len(parts), len(self.units)))
        rows, columns = (same @ same.T).nonzero()
        values = np.einsum("ij,ij->i", self.sums[rows], self.sums[columns])
        return csr_array((values, (rows, columns)), shape=(len(parts), len(parts)))

    def _marks(self, labelings: NDArray[np.integer]) -> NDArray[np.float64]:  # (parts, labelings, categories)
        return np.asarray(labelings.T[:, :, None] == np.arange(len(self.units.names)), dtype=np.float64)

    def _enough(self, marks: NDArray[np.float64]) -> NDArray[np.bool_]:  # (labelings,)
        """Whether each category has three units with vectors."""
        units = np.einsum("alc,a->lc", marks, (self.sizes > 0).astype(np.float64))
        return np.asarray((units >= _LEAST_UNITS).all(axis=1))

    def _products(self, marks: NDArray[np.float64]) -> NDArray[np.float64]:  # (parts, labelings, categories)
        """Sum the products of each part with the parts of each category in other units."""
        columns = marks.reshape(len(marks), -1)
        if self._whole is not None:
            found = self._whole @ columns
        else:
            found = self.sums @ (self.sums.T @ columns) - self._inside @ columns
        return np.asarray(found.reshape(marks.shape))

    def _pairs(self, marks: NDArray[np.float64]) -> NDArray[np.float64]:  # (parts, labelings, categories)
        """Count the pairs that each part makes with the prompts of each category in other units."""
        sized = marks * self.sizes[:, None, None]
        own = sized
        if self.units.design == "crossed":
            of_unit = np.zeros((len(self.units), *marks.shape[1:]))
            np.add.at(of_unit, self.units.part_units, sized)
            own = of_unit[self.units.part_units]
        return np.asarray(self.sizes[:, None, None] * (sized.sum(axis=0) - own))

    def _nested_changes(
        self,
        labelings: NDArray[np.integer],
        of_parts: tuple[NDArray[np.float64], NDArray[np.float64]],
        totals: NDArray[np.float64],
        numbers: NDArray[np.float64],
    ) -> NDArray[np.float64]:  # (units, labelings)
        """Take away a unit of one category c: it has pairs in A_c, whose total counts them twice, and in each B_cd."""
        products, pairs = of_parts
        categories = totals.shape[1]
        own = labelings.T + categories * np.arange(len(labelings))  # the row of each part's category in each labeling

        def of_own(values: NDArray[np.float64]) -> NDArray[np.float64]:  # (parts, labelings, categories)
            return np.asarray(values.reshape(-1, categories).take(own, axis=0))

        # Arrays of this size are slow to make, so they are changed in place.
        inside = np.eye(categories)
        times = (1 + inside).take(labelings.T, axis=0)
        total, number = of_own(totals), of_own(numbers)
        total -= times * products
        number -= np.multiply(times, pairs, out=times)
        total /= number
        total -= of_own(totals / numbers)
        total *= ((categories + 1) * inside - 2).take(labelings.T, axis=0)
        changes = np.empty((len(self.units), len(labelings)))
        changes[self.units.part_units] = total.sum(axis=2)
        return changes

    def _crossed_changes(
        self,
        labelings: NDArray[np.integer],
        of_parts: tuple[NDArray[np.float64], NDArray[np.float64]],
        totals: NDArray[np.float64],
        numbers: NDArray[np.float64],
    ) -> NDArray[np.float64]:  # (units, labelings)
        """Take away a unit of several categories, which has pairs in the means of each two of them."""
        every = np.arange(len(labelings))
        taken = []
        for values in of_parts:
            rows = np.zeros((len(self.units), *totals.shape))
            rows[self.units.part_units[:, None], every, labelings.T] = values
            taken.append(rows + rows.swapaxes(2, 3))
        return _distance((totals - taken[0]) / (numbers - taken[1])) - _distance(totals / numbers)


def _between(
    marks: NDArray[np.float64], of_parts: NDArray[np.float64]
) -> NDArray[np.float64]:  # (labelings, categories, categories)
    """Sum what each part has with each category over the parts of a category."""
    return np.asarray(marks.transpose(1, 2, 0) @ of_parts.transpose(1, 0, 2))


def _distance(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ_{c<d} (A_c + A_d − 2 B_cd) of means whose last two axes are categories."""
    trace = np.trace(means, axis1=-2, axis2=-1)
    return np.asarray(means.shape[-1] * trace - means.sum(axis=(-2, -1)))
