"""Cosine similarity of signatures within and across categories, and the effect size between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from moexray.stats.auc import EXACT_PROMPTS, Auc, auc_of_sample, exact_auc, sample_pairs
from moexray.stats.jackknife import jackknife_interval
from moexray.stats.pair_sums import PairSums, pair_sums
from moexray.stats.pairs import Interval, Pairs, PairSummary, cohens_d, effect_sizes_without_each


@dataclass(frozen=True)
class Similarity:
    """Similarity of pairs within and across categories. Intervals are of 95 %, over prompts.

    Attributes
    ----------
    within, across
        Pairs of the same, and of different categories.
    cohens_d, cohens_d_ci
        Effect size between the two; None where one has fewer than two pairs or nothing varies.
    auc
        Probability that a pair within is more similar than a pair across.
    by_category, by_pair
        Pairs within each category, and across each two categories (names in order).
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
    """Mean similarity within and across categories, Cohen's d, its interval, and d without each prompt.

    The last, ``(prompts,)``, is not finite where there is no d then.
    """

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    without_each: NDArray[np.float64]


def unit_rows(vectors: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, dimensions)
    """Scale every row to unit length; no row may be zero, so prompts without a token are left out before."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
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
        Draws the pairs that are compared for the AUC of more prompts than can be compared in full.
    """
    units = unit_rows(vectors)
    categories, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    auc = None
    if 0 < pairs_within(numbers) < len(units) * (len(units) - 1) // 2:
        auc = exact_auc(units, numbers) if len(units) <= EXACT_PROMPTS else _sampled_auc(units, numbers, rng)
    return summarised(pair_sums(units, numbers, len(categories)), list(categories), numbers, auc)


def summarised(sums: PairSums, categories: Sequence[str], numbers: NDArray[np.integer], auc: Auc | None) -> Similarity:
    """Put the sums over the pairs of each prompt into means, deviations, effect size and intervals.

    Parameters
    ----------
    sums
        Of every prompt with every category.
    categories
        Their names, in order.
    numbers
        The category of each prompt.
    auc
        From the pairs themselves: sums do not hold it.
    """
    own = np.eye(len(categories), dtype=bool)[numbers]
    within, across = Pairs.chosen(sums, own), Pairs.chosen(sums, ~own)
    d, interval = effect_size(within, across, numbers)
    return Similarity(
        within=within.summary(numbers),
        across=across.summary(numbers),
        cohens_d=d,
        cohens_d_ci=interval,
        auc=auc,
        by_category={name: Pairs.between(sums, numbers, c, c).summary(numbers) for c, name in enumerate(categories)},
        by_pair={
            (categories[b], categories[c]): Pairs.between(sums, numbers, b, c).summary(numbers)
            for b, c in combinations(range(len(categories)), 2)
        },
    )


def _sampled_auc(units: NDArray[np.float64], numbers: NDArray[np.integer], rng: int | np.random.Generator) -> Auc:
    pairs = sample_pairs(numbers, rng=rng)
    return auc_of_sample(units[pairs.rows], pairs)


def effect_size(within: Pairs, across: Pairs, numbers: NDArray[np.integer]) -> tuple[float | None, Interval | None]:
    """Cohen's d between two sets of pairs, and its interval."""
    d = cohens_d(within.summary(numbers), across.summary(numbers))
    if d is None:
        return None, None
    return d, jackknife_interval(d, effect_sizes_without_each(within, across), numbers)


def pairs_within(numbers: NDArray[np.integer]) -> int:
    """How many pairs share a category."""
    sizes = np.bincount(numbers)
    return int((sizes * (sizes - 1) // 2).sum())


def category_effect(vectors: NDArray[np.float64], labels: Sequence[str]) -> CategoryEffect:
    """Measure the effect of category on the similarity of signatures ``(prompts, dimensions)``, none of them zero."""
    categories, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sums = pair_sums(unit_rows(vectors), numbers, len(categories))
    own = np.eye(len(categories), dtype=bool)[numbers]
    return effect_between(Pairs.chosen(sums, own), Pairs.chosen(sums, ~own), numbers)


def effect_between(within: Pairs, across: Pairs, numbers: NDArray[np.integer]) -> CategoryEffect:
    """Measure the effect from the pairs within and across; `numbers` are the categories of the prompts."""
    d, interval = effect_size(within, across, numbers)
    inside, outside = (each.mean if each.number else None for each in (within, across))
    return CategoryEffect(inside, outside, d, interval, effect_sizes_without_each(within, across))
