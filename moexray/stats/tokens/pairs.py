"""Shared experts of two occurrences of a token id, within categories and across, from sums instead of pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.tokens.sums import TokenRows, sum_at


@dataclass(frozen=True)
class IdPairs:
    """Pairs of occurrences of an id in different prompts, for every id ``(ids,)``, or for other sets of pairs.

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
    """One layer: mean share within, gain (mean within minus mean across), and the gain without each prompt."""

    within: float
    gain: float
    without_each: NDArray[np.float64]


@dataclass(frozen=True)
class CategorySums:
    """Sums over the prompts of each category, for every id in one layer; blocks of prompts add up.

    Attributes
    ----------
    occurrences, selections
        Sums ``(ids, categories)`` and ``(ids, categories, experts)``.
    own_occurrences, own_selections
        Sums of squares: of each prompt's occurrences, and of the length of its selections ``(ids, categories)``.
    """

    occurrences: NDArray[np.float64]
    selections: NDArray[np.float64]
    own_occurrences: NDArray[np.float64]
    own_selections: NDArray[np.float64]

    @classmethod
    def of(
        cls, rows: TokenRows, selections: NDArray[np.float64], numbers: NDArray[np.integer], categories: int
    ) -> "CategorySums":
        """Sum the selections ``(rows, experts)``; `numbers` are the prompts' categories."""
        shape = (len(rows.token_ids), categories)
        places = rows.ids * categories + numbers[rows.prompts]

        def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.bincount(places, values, minlength=shape[0] * categories).reshape(shape), np.float64)

        together = sum_at(places, selections, shape[0] * categories)
        return cls(
            occurrences=summed(rows.occurrences.astype(np.float64)),
            selections=together.reshape(*shape, -1),
            own_occurrences=summed(rows.occurrences.astype(np.float64) ** 2),
            own_selections=summed(np.einsum("re,re->r", selections, selections)),
        )

    def pairs(self, k: int) -> IdPairs:
        """Count pairs in different prompts, and sum their share of k experts: ``(|Σ S|² − Σ |S|²) / 2k``."""
        every, everything = self.occurrences.sum(axis=1), self.selections.sum(axis=1)
        within = (self.occurrences**2 - self.own_occurrences).sum(axis=1) / 2
        shared_within = (np.einsum("ice,ice->ic", self.selections, self.selections) - self.own_selections).sum(axis=1)
        shared = np.einsum("ie,ie->i", everything, everything) - self.own_selections.sum(axis=1)
        pairs = (every**2 - self.own_occurrences.sum(axis=1)) / 2
        return IdPairs(every, pairs, within, shared / (2 * k), shared_within / (2 * k))


def layer_gain(
    rows: TokenRows, selections: NDArray[np.float64], k: int, *, sums: CategorySums, numbers: NDArray[np.integer]
) -> LayerGain:
    """Average the gain over ids, with all prompts and without each; see `moexray.stats.same_token_test`.

    Parameters
    ----------
    rows, selections
        Token counts and expert counts of the prompts to leave out, which may be a block of those in `sums`.
    k
        Experts of a token.
    sums
        Sums over all prompts, with the same ids as `rows`.
    numbers
        The category of each prompt that `rows` refers to.
    """
    every = sums.pairs(k)
    gains, weights = float(every.weighted_gains.sum()), float(every.weights.sum())
    some = _without_each(rows, selections, k, sums=sums, numbers=numbers)

    def moved(of_rows: NDArray[np.float64], of_ids: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(rows.prompts, of_rows - of_ids[rows.ids], minlength=len(numbers)), np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        without_each = (gains + moved(some.weighted_gains, every.weighted_gains)) / (
            weights + moved(some.weights, every.weights)
        )
    return LayerGain(float(every.weighted_within.sum()) / weights, gains / weights, without_each)


def _without_each(
    rows: TokenRows, selections: NDArray[np.float64], k: int, *, sums: CategorySums, numbers: NDArray[np.integer]
) -> IdPairs:  # an entry a row: the id without the row's prompt
    every, category = sums.pairs(k), numbers[rows.prompts]
    own = rows.occurrences.astype(np.float64)
    of_category, of_all = sums.selections[rows.ids, category], sums.selections.sum(axis=1)[rows.ids]
    left = every.occurrences[rows.ids] - own
    return IdPairs(
        occurrences=left,
        pairs=every.pairs[rows.ids] - own * left,
        pairs_within=every.pairs_within[rows.ids] - own * (sums.occurrences[rows.ids, category] - own),
        shared=every.shared[rows.ids] - np.einsum("re,re->r", selections, of_all - selections) / k,
        shared_within=every.shared_within[rows.ids] - np.einsum("re,re->r", selections, of_category - selections) / k,
    )


def pair_matrix(
    rows: TokenRows, selections: NDArray[np.float64], k: int, *, prompts: int
) -> NDArray[np.float64]:  # (prompts, prompts)
    """Return the symmetric matrix H of `moexray.stats.same_token_test`; its diagonal has no meaning."""
    every = CategorySums.of(rows, selections, np.zeros(prompts, dtype=np.int64), 1).pairs(k)
    pairs = np.maximum(every.pairs, 1)
    scale = np.where(every.pairs > 0, every.occurrences / pairs, 0)[rows.ids]
    mean = (every.shared / pairs)[rows.ids]
    places, experts = np.nonzero(selections)
    counts = selections[places, experts] * np.sqrt(scale[places] / k)
    shared = _products(rows.prompts[places], rows.ids[places] * selections.shape[1] + experts, counts, prompts)
    expected = _products(rows.prompts, rows.ids, rows.occurrences * np.sqrt(scale * mean), prompts)
    return shared - expected


def _products(
    prompts: NDArray[np.integer], columns: NDArray[np.integer], values: NDArray[Any], size: int
) -> NDArray[np.float64]:
    """Multiply the sparse matrix (prompts, columns) by its transpose."""
    from scipy.sparse import csr_array

    _, places = np.unique(columns, return_inverse=True)
    matrix: Any = csr_array((values, (prompts, places)), shape=(size, int(places.max(initial=0)) + 1))
    return np.asarray((matrix @ matrix.T).toarray())
