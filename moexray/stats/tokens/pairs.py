"""Shared experts of two occurrences of a token id, within categories and across, from sums instead of pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units
from moexray.stats.tokens.sums import UnitRows, sum_at


@dataclass(frozen=True)
class IdPairs:
    """Pairs of occurrences of an id in different units, for every id ``(ids,)``, or for other sets of pairs.

    Attributes
    ----------
    occurrences
        Occurrences of the id.
    pairs, pairs_within
        Number of pairs, and of those within a category.
    shared, shared_within
        The share of experts in common, summed over these pairs.
    """

    occurrences: NDArray[np.float64]
    pairs: NDArray[np.float64]
    pairs_within: NDArray[np.float64]
    shared: NDArray[np.float64]
    shared_within: NDArray[np.float64]

    @property
    def weights(self) -> NDArray[np.float64]:
        """``n f (1 - f)``, with n the occurrences and f the share of pairs that are within a category."""
        within = self.pairs_within / np.maximum(self.pairs, 1)
        return self.occurrences * within * (1 - within)

    @property
    def weighted_gains(self) -> NDArray[np.float64]:
        """Weight times (mean within − mean across)."""
        pairs = np.maximum(self.pairs, 1)
        return self.occurrences / pairs * (self.shared_within - self.shared * self.pairs_within / pairs)

    @property
    def weighted_within(self) -> NDArray[np.float64]:
        """Weight times mean within."""
        return self.weights * self.shared_within / np.maximum(self.pairs_within, 1)


@dataclass(frozen=True)
class LayerGain:
    """One layer: mean share within, gain (mean within minus mean across), and the gain without each unit."""

    within: float
    gain: float
    without_each: NDArray[np.float64]


@dataclass(frozen=True)
class CategorySums:
    """Sums over the parts of each category, for every id in one layer; blocks of whole units add up.

    Attributes
    ----------
    occurrences, selections
        Sums ``(ids, categories)`` and ``(ids, categories, experts)``.
    part_occurrences, part_selections
        Sums of squares over parts: of occurrences, and of the length of selections ``(ids,)``.
    unit_occurrences, unit_selections
        The same over units.
    """

    occurrences: NDArray[np.float64]
    selections: NDArray[np.float64]
    part_occurrences: NDArray[np.float64]
    part_selections: NDArray[np.float64]
    unit_occurrences: NDArray[np.float64]
    unit_selections: NDArray[np.float64]

    @classmethod
    def of(
        cls, rows: UnitRows, selections: NDArray[np.float64], numbers: NDArray[np.integer], categories: int
    ) -> "CategorySums":
        """Sum the selections of parts ``(rows, experts)``; `numbers` are the categories of the parts."""
        parts, shape = rows.parts, (len(rows.parts.token_ids), categories)
        places, own = parts.ids * categories + numbers[parts.prompts], parts.occurrences.astype(np.float64)
        of_units, units = rows.by_unit(selections), rows.units
        return cls(
            occurrences=np.asarray(np.bincount(places, own, shape[0] * categories).reshape(shape), np.float64),
            selections=sum_at(places, selections, shape[0] * categories).reshape(*shape, -1),
            part_occurrences=parts.by_id(own**2),
            part_selections=parts.by_id(_squares(selections)),
            unit_occurrences=units.by_id(units.occurrences.astype(np.float64) ** 2),
            unit_selections=units.by_id(_squares(of_units)),
        )

    def pairs(self, k: int) -> IdPairs:
        """Count pairs in different units, and sum their share of k experts: ``(|Σ S|² − Σ |S|²) / 2k``.

        The sum of squares is over the parts for pairs within a category, and over the units for all pairs.
        """
        every, everything = self.occurrences.sum(axis=1), self.selections.sum(axis=1)
        within = (self.occurrences**2).sum(axis=1) - self.part_occurrences
        shared_within = _squares(self.selections).sum(axis=1) - self.part_selections
        shared = _squares(everything) - self.unit_selections
        pairs = (every**2 - self.unit_occurrences) / 2
        return IdPairs(every, pairs, within / 2, shared / (2 * k), shared_within / (2 * k))


def _squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("...e,...e->...", values, values))


def layer_gain(
    rows: UnitRows, selections: NDArray[np.float64], k: int, *, sums: CategorySums, units: Units
) -> LayerGain:
    """Average the gain over ids, with all units and without each; see `moexray.stats.same_token_test`.

    Parameters
    ----------
    rows, selections
        Token counts, and the selections of each part.
    k
        Experts of a token.
    sums
        Sums of the same.
    units
        The units of the prompts.
    """
    every = sums.pairs(k)
    gains, weights = float(every.weighted_gains.sum()), float(every.weights.sum())
    some = _without_each(rows, selections, k, sums=sums, numbers=units.part_categories)
    ids, places = rows.units.ids, rows.units.prompts

    def moved(of_rows: NDArray[np.float64], of_ids: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(places, of_rows - of_ids[ids], minlength=len(units)), np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        without_each = (gains + moved(some.weighted_gains, every.weighted_gains)) / (
            weights + moved(some.weights, every.weights)
        )
    return LayerGain(float(every.weighted_within.sum()) / weights, gains / weights, without_each)


def _without_each(
    rows: UnitRows, selections: NDArray[np.float64], k: int, *, sums: CategorySums, numbers: NDArray[np.integer]
) -> IdPairs:  # an entry for each row of units: the id without the unit
    every, parts, ids = sums.pairs(k), rows.parts, rows.units.ids
    own, category = parts.occurrences.astype(np.float64), numbers[parts.prompts]
    within = own * (sums.occurrences[parts.ids, category] - own)
    shared_within = np.einsum("re,re->r", selections, sums.selections[parts.ids, category] - selections) / k
    of_units, together = rows.by_unit(selections), rows.units.occurrences.astype(np.float64)
    shared = np.einsum("re,re->r", of_units, sums.selections.sum(axis=1)[ids] - of_units) / k
    left = every.occurrences[ids] - together
    return IdPairs(
        occurrences=left,
        pairs=every.pairs[ids] - together * left,
        pairs_within=every.pairs_within[ids] - rows.by_unit(within),
        shared=every.shared[ids] - shared,
        shared_within=every.shared_within[ids] - rows.by_unit(shared_within),
    )


def pair_matrix(
    rows: UnitRows, selections: NDArray[np.float64], k: int, *, units: Units
) -> NDArray[np.float64]:  # (parts, parts)
    """Return the symmetric matrix H of `moexray.stats.same_token_test`; zero for two parts of one unit."""
    parts, size = rows.parts, len(units.part_units)
    every = CategorySums.of(rows, selections, np.zeros(size, dtype=np.int64), 1).pairs(k)
    pairs = np.maximum(every.pairs, 1)
    scale = np.where(every.pairs > 0, every.occurrences / pairs, 0)[parts.ids]
    mean = np.maximum(every.shared / pairs, 0)[parts.ids]  # dropped selections make sums of roots, which round
    places, experts = np.nonzero(selections)
    counts = selections[places, experts] * np.sqrt(scale[places] / k)
    shared = _products(parts.prompts[places], parts.ids[places] * selections.shape[1] + experts, counts, size)
    expected = _products(parts.prompts, parts.ids, parts.occurrences * np.sqrt(scale * mean), size)
    return np.where(units.part_units[:, None] == units.part_units, 0, shared - expected)


def _products(
    prompts: NDArray[np.integer], columns: NDArray[np.integer], values: NDArray[Any], size: int
) -> NDArray[np.float64]:
    """Multiply the sparse matrix (prompts, columns) by its transpose."""
    from scipy.sparse import csr_array

    _, places = np.unique(columns, return_inverse=True)
    matrix: Any = csr_array((values, (prompts, places)), shape=(size, int(places.max(initial=0)) + 1))
    return np.asarray((matrix @ matrix.T).toarray())
