"""Similarity of any number of prompts, whole and layer by layer, in passes over blocks of signatures.

Memory: D² numbers a category (or a strip of them) and about ten numbers a prompt and layer. The categories, and the
layers, of a block are summed on all cores: each has sums of its own.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

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
    from threadpoolctl import threadpool_limits

    units = units_of(labels)
    categories, numbers = units.names, units.categories
    first_block = next(block for block in _placed(blocks, numbers) if len(block.rows))
    reference = first_block.whole().mean(axis=0)
    layers = [
        _Layer(first_block.layer(place)[0], len(numbers), len(categories))
        for place in range(first_block.shares.shape[1])
    ]
    first, second = np.zeros((len(numbers), len(categories))), np.zeros((len(numbers), 3))
    between = np.zeros((4, len(categories), len(categories)))
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        for columns in strips(len(reference), len(categories)):
            in_first = layers if columns.start == 0 else []  # a layer needs one strip only
            moments = CategoryMoments(len(reference), len(categories), columns)
            for block in _placed(blocks, numbers):
                tasks = [partial(layer.add, block, place) for place, layer in enumerate(in_first)]
                _run(pool, [partial(_add, moments, part, reference) for part in block.by_category()] + tasks)
            between += moments.between()
            forms = PairForms(moments)
            for block in _placed(blocks, numbers):
                tasks = [partial(layer.sum, block, place) for place, layer in enumerate(in_first)]
                sums_of = partial(_sum, forms, reference, first, second)
                _run(pool, [partial(sums_of, part) for part in block.by_category()] + tasks)
    totals = totals_of(between, reference, squared_rows_of(first, numbers))
    sums = PairSums(totals, first, second, numbers_of_pairs(numbers, len(categories)))
    return summarised(sums, units, auc), [layer.effect(units) for layer in layers]


class _Layer:
    """One layer's sums over pairs: Σt and Σt² of each prompt, within its category and across."""

    def __init__(self, some: NDArray[np.float64], prompts: int, categories: int) -> None:
        self.reference = some.mean(axis=0) if len(some) else np.zeros(some.shape[1])
        self.moments = CategoryMoments(some.shape[1], categories, slice(0, some.shape[1] + 2))
        self.sums = np.zeros((prompts, 4))
        self.squared_rows = np.zeros((categories, categories))
        self.present = np.zeros(prompts, dtype=bool)

    def add(self, block: "_Block", place: int) -> None:
        self.moments.add(extended(*block.layer(place), self.reference))

    def sum(self, block: "_Block", place: int) -> None:
        units, numbers = block.layer(place)
        first, second = self._forms.sums(extended(units, numbers, self.reference))
        within = first[np.arange(len(first)), numbers]
        self.squared_rows += squared_rows_of(first, numbers)
        rows = block.rows[block.squares[:, place] > 0]
        self.sums[rows] = np.column_stack([within, first.sum(axis=1) - within, second[:, :2]])
        self.present[rows] = True

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


@dataclass(frozen=True)
class _Block:
    """Some prompts: their places among all, categories, shares, and sums of squared shares by layer."""

    rows: NDArray[np.int64]
    numbers: NDArray[np.integer]
    shares: NDArray[np.float64]
    squares: NDArray[np.float64]  # (rows, layers)

    def by_category(self) -> list["_Block"]:
        """Return the prompts of each category that occurs."""
        chosen = [self.numbers == category for category in np.unique(self.numbers)]
        return [_Block(self.rows[some], self.numbers[some], self.shares[some], self.squares[some]) for some in chosen]

    def whole(self) -> NDArray[np.float64]:
        """Return unit signatures ``(rows, layers · experts)``."""
        lengths = np.sqrt(self.squares.sum(axis=1))
        if not lengths.all():
            message = f"row {int(np.argmin(lengths))} is zero: a prompt without a token has no signature"
            raise ValueError(message)
        return np.asarray(self.shares.reshape(len(self.shares), -1) / lengths[:, None])

    def layer(self, place: int) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
        """Return the unit signatures of a layer and the categories of the prompts that have one there."""
        squares = self.squares[:, place]
        present = squares > 0
        return self.shares[present, place] / np.sqrt(squares[present])[:, None], self.numbers[present]


def _placed(blocks: Blocks, numbers: NDArray[np.integer]) -> Iterator[_Block]:
    start = 0
    for shares in blocks:
        rows = np.arange(start, start + len(shares))
        yield _Block(rows, numbers[rows], shares, np.einsum("ple,ple->pl", shares, shares))
        start += len(shares)


def _add(moments: CategoryMoments, part: _Block, reference: NDArray[np.float64]) -> None:
    """Add prompts of one category; tasks of other categories touch other moments."""
    moments.add(extended(part.whole(), part.numbers, reference))


def _sum(
    forms: PairForms,
    reference: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    part: _Block,
) -> None:
    more = forms.sums(extended(part.whole(), part.numbers, reference))
    first[part.rows] += more[0]
    second[part.rows] += more[1]


def _run(pool: ThreadPoolExecutor, tasks: Sequence[Callable[[], None]]) -> None:
    """Run tasks on all cores, and raise what one of them raises."""
    for done in [pool.submit(task) for task in tasks]:
        done.result()
