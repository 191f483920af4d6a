"""Similarity of any number of prompts, whole and layer by layer, in passes over blocks of signatures.

Memory: D² numbers a category (or a strip of them) and about ten numbers a prompt and layer.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.auc import Auc
from moexray.stats.pairs.moments import CategoryMoments, PairForms, extended, strips
from moexray.stats.pairs.pair_sums import PairSums, numbers_of_pairs, squared_rows_of, totals_of
from moexray.stats.pairs.similarity import CategoryEffect, Similarity, effect_between, summarised
from moexray.stats.pairs.summaries import Pairs

# Signatures of consecutive prompts, (rows, layers, experts) each; iterated several times.
Blocks = Iterable[NDArray[np.float64]]


def similarity_of_blocks(
    blocks: Blocks, labels: Sequence[str], *, auc: Auc | None
) -> tuple[Similarity, list[CategoryEffect]]:
    """Summarise the similarity of all pairs, as `moexray.stats.similarity` does without groups, whole and by layer.

    Takes O(P·D²) time and two passes: the first sums the second moments of each category, the second computes from
    them the sums over the pairs of each prompt. If the moments of all dimensions do not fit into memory, each further
    strip of columns takes two more passes. A prompt without a signature in a layer is left out of that layer's effect.

    Parameters
    ----------
    blocks
        Signatures of consecutive prompts ``(rows, layers, experts)`` each, none of them zero in every layer.
    labels
        The category of every prompt.
    auc
        The AUC of the pairs, which sums do not give; None if it is not known.
    """
    units = units_of(labels)
    categories, numbers = units.names, units.categories
    whole, by_layer = unit_signatures(next(shares for shares in blocks if len(shares)))
    reference = whole.mean(axis=0)
    layers = [_Layer(of_layer, len(numbers), len(categories)) for of_layer in np.moveaxis(by_layer, 1, 0)]
    first, second = np.zeros((len(numbers), len(categories))), np.zeros((len(numbers), 3))
    between = np.zeros((4, len(categories), len(categories)))
    for columns in strips(len(reference), len(categories)):
        in_first = layers if columns.start == 0 else []  # a layer needs one strip only
        moments = CategoryMoments(len(reference), len(categories), columns)
        for rows, whole, by_layer in _placed(blocks):
            moments.add(extended(whole, numbers[rows], reference))
            for place, layer in enumerate(in_first):
                layer.add(by_layer[:, place], numbers[rows])
        between += moments.between()
        forms = PairForms(moments)
        for rows, whole, by_layer in _placed(blocks):
            more = forms.sums(extended(whole, numbers[rows], reference))
            first[rows] += more[0]
            second[rows] += more[1]
            for place, layer in enumerate(in_first):
                layer.sum(by_layer[:, place], numbers[rows], rows)
    totals = totals_of(between, reference, squared_rows_of(first, numbers))
    sums = PairSums(totals, first, second, numbers_of_pairs(numbers, len(categories)))
    return summarised(sums, units, auc), [layer.effect(units) for layer in layers]


def unit_signatures(shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale signatures to unit length: whole ``(rows, layers · experts)`` and by layer ``(rows, layers, experts)``.

    A layer in which a prompt has no signature stays zero.

    Raises
    ------
    ValueError
        If a prompt has no signature in any layer.
    """
    squares = np.einsum("ple,ple->pl", shares, shares)
    lengths = np.sqrt(squares.sum(axis=1))
    if not lengths.all():
        message = f"row {int(np.argmin(lengths))} is zero: a prompt without a token has no signature"
        raise ValueError(message)
    by_layer = shares / np.sqrt(np.where(squares > 0, squares, 1))[:, :, None]
    whole = shares / lengths[:, None, None]
    return whole.reshape(len(shares), shares.shape[1] * shares.shape[2]), by_layer


class _Layer:
    """One layer's sums over pairs: Σt and Σt² of each prompt, within its category and across."""

    def __init__(self, units: NDArray[np.float64], prompts: int, categories: int) -> None:
        self.reference = units.mean(axis=0)
        self.moments = CategoryMoments(units.shape[1], categories, slice(0, units.shape[1] + 2))
        self.sums = np.zeros((prompts, 4))
        self.squared_rows = np.zeros((categories, categories))
        self.present = np.zeros(prompts, dtype=bool)

    def add(self, units: NDArray[np.float64], numbers: NDArray[np.integer]) -> None:
        present = units.any(axis=1)
        self.moments.add(extended(units[present], numbers[present], self.reference))

    def sum(self, units: NDArray[np.float64], numbers: NDArray[np.integer], rows: slice) -> None:
        present = units.any(axis=1)
        first, second = self._forms.sums(extended(units[present], numbers[present], self.reference))
        within = first[np.arange(len(first)), numbers[present]]
        self.squared_rows += squared_rows_of(first, numbers[present])
        self.sums[rows][present] = np.column_stack([within, first.sum(axis=1) - within, second[:, :2]])
        self.present[rows] = present

    def effect(self, prompts: Units) -> CategoryEffect:
        numbers = prompts.categories
        totals = totals_of(self.moments.between(), self.reference, self.squared_rows)
        among, sums = numbers[self.present], self.sums[self.present]
        sizes = np.bincount(among, minlength=len(totals.pairs))
        own = np.eye(len(sizes), dtype=bool)
        partners = sizes[among] - 1, len(among) - sizes[among]
        within, across = (
            Pairs.of(totals, which, partners[part], sums[:, part]) for part, which in enumerate((own, ~own))
        )
        return effect_between(totals, (within, across), sums[:, 2:], prompts, self.present)

    @cached_property
    def _forms(self) -> PairForms:
        """Computed once, after all prompts are added."""
        return PairForms(self.moments)


def _placed(blocks: Blocks) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    start = 0
    for shares in blocks:
        yield slice(start, start + len(shares)), *unit_signatures(shares)
        start += len(shares)
