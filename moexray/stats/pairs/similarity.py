"""Cosine similarity of pairs of signatures within and across categories, and the effect size between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.labels import category_numbers, numbered_categories
from moexray.stats.pairs.auc import EXACT_PROMPTS, Auc, auc_of_sample, exact_auc, sample_pairs
from moexray.stats.pairs.pair_sums import PairSums, pair_sums
from moexray.stats.pairs.summaries import (
    Interval,
    Pairs,
    PairSummary,
    cohens_d,
    effect_sizes_without_each,
)


@dataclass(frozen=True)
class Similarity:
    """Similarity of pairs within and across categories. Intervals are of 95 %, over prompts.

    Attributes
    ----------
    within, across
        Pairs of the same, and of different categories.
    cohens_d, cohens_d_ci
        Effect size between the two; None where either has fewer than two pairs or nothing varies.
    auc
        Probability that a pair within is more similar than a pair across.
    by_category, by_pair
        Pairs within each category, and across each two categories (names sorted).
    """

    within: PairSummary
    across: PairSummary
    cohens_d: float | None
    cohens_d_ci: Interval | None
    auc: Auc | None
    by_category: dict[str, PairSummary]
    by_pair: dict[tuple[str, str], PairSummary]


@dataclass(frozen=True)
class CategoryEffect:
    """Mean similarity within and across categories, Cohen's d, its 95 % interval, and d without each prompt.

    Attributes
    ----------
    without_each
        Cohen's d with each prompt left out ``(prompts,)``; not finite where it does not exist. Leaving out a prompt
        without a signature changes nothing.
    prompts
        Number of prompts with a signature.
    """

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    without_each: NDArray[np.float64]
    prompts: int


def unit_rows(vectors: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, dimensions)
    """Scale every row to unit length.

    Raises
    ------
    ValueError
        If a row is zero: prompts without a token must be left out before.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    if not lengths.all():
        message = f"row {int(np.argmin(lengths))} is zero: a prompt without a token has no signature"
        raise ValueError(message)
    return np.asarray(vectors / lengths)


def similarity(
    vectors: NDArray[np.float64], labels: Sequence[str], *, rng: int | np.random.Generator = 0
) -> Similarity:
    """Summarise the cosine similarity of all unordered pairs of rows.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``, none of them zero.
    labels
        The category of each.
    rng
        Seed or generator of the pairs that the AUC samples, where there are too many prompts to compare all.
    """
    units = unit_rows(vectors)
    categories, numbers = numbered_categories(labels)
    auc = None
    if 0 < pairs_within(numbers) < len(units) * (len(units) - 1) // 2:
        auc = exact_auc(units, numbers) if len(units) <= EXACT_PROMPTS else _sampled_auc(units, numbers, rng)
    return summarised(pair_sums(units, numbers, len(categories)), categories, numbers, auc)


def summarised(sums: PairSums, categories: Sequence[str], numbers: NDArray[np.integer], auc: Auc | None) -> Similarity:
    """Compute means, standard deviations, effect size and intervals from sums over pairs.

    Parameters
    ----------
    sums
        Sums over the pairs of every prompt with every category.
    categories
        Their names, in order.
    numbers
        The category of each prompt.
    auc
        The AUC of the pairs, which sums do not give.
    """
    own = np.eye(len(categories), dtype=bool)
    within, across = Pairs.chosen(sums, numbers, own), Pairs.chosen(sums, numbers, ~own)
    inside, outside = within.summary(numbers), across.summary(numbers)
    d = cohens_d(inside, outside)
    without_each = effect_sizes_without_each(within, across, sums.second)
    between = {
        (b, c): Pairs.chosen(sums, numbers, _marked(len(categories), b, c)).summary(numbers)
        for b, c in combinations_with_replacement(range(len(categories)), 2)
    }
    return Similarity(
        within=inside,
        across=outside,
        cohens_d=d,
        cohens_d_ci=None if d is None else jackknife_interval(d, without_each, numbers),
        auc=auc,
        by_category={name: between[c, c] for c, name in enumerate(categories)},
        by_pair={(categories[b], categories[c]): summary for (b, c), summary in between.items() if b != c},
    )


def _marked(categories: int, b: int, c: int) -> NDArray[np.bool_]:
    which = np.zeros((categories, categories), dtype=bool)
    which[b, c] = which[c, b] = True
    return which


def _sampled_auc(units: NDArray[np.float64], numbers: NDArray[np.integer], rng: int | np.random.Generator) -> Auc:
    pairs = sample_pairs(numbers, rng=rng)
    return auc_of_sample(units[pairs.rows], pairs)


def pairs_within(numbers: NDArray[np.integer]) -> int:
    """Count the pairs of prompts that share a category."""
    sizes = np.bincount(numbers)
    return int((sizes * (sizes - 1) // 2).sum())


def category_effect(vectors: NDArray[np.float64], labels: Sequence[str]) -> CategoryEffect:
    """Measure the effect of category on similarity.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``. A row of zeros, a prompt all of whose tokens the router dropped, has no
        direction and so no similarity to any other: it is left out.
    labels
        The category of each prompt.
    """
    numbers = category_numbers(labels)
    present = np.asarray(vectors.any(axis=1))
    _, among = np.unique(numbers[present], return_inverse=True)
    units = unit_rows(vectors if present.all() else vectors[present])
    sums = pair_sums(units, among, int(among.max(initial=0)) + 1)
    own = np.eye(sums.first.shape[1], dtype=bool)
    return effect_between(
        Pairs.chosen(sums, among, own), Pairs.chosen(sums, among, ~own), sums.second, numbers, present
    )


def effect_between(
    within: Pairs,
    across: Pairs,
    own_second: NDArray[np.float64],
    numbers: NDArray[np.integer],
    present: NDArray[np.bool_],
) -> CategoryEffect:
    """Measure the effect of category from sums over the pairs within and across.

    Parameters
    ----------
    within, across
        Sums over the pairs of the prompts that have a signature.
    own_second
        See `moexray.stats.pairs.summaries.effect_sizes_without_each`.
    numbers
        The category of every prompt.
    present
        Which prompts have a signature.
    """
    inside, outside = within.summary(numbers[present]), across.summary(numbers[present])
    d = cohens_d(inside, outside)
    some = effect_sizes_without_each(within, across, own_second)
    interval = None if d is None else jackknife_interval(d, some, numbers[present])
    without_each = np.full(len(present), np.nan if d is None else d)
    without_each[present] = some
    return CategoryEffect(inside.mean, outside.mean, d, interval, without_each, len(some))
