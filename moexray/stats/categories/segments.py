"""Routing of two segments of the same prompts compared: the prompt's and the generated tokens, or any two others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import jackknife_interval, mean_interval
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.permutation import p_value
from moexray.stats.pairs.similarity import CategoryEffect, category_effect, unit_rows
from moexray.stats.pairs.summaries import COSINES, Interval

_MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class SegmentEffect:
    """Mean similarity within and across categories in one segment, Cohen's d between them and its 95 % interval."""

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None


@dataclass(frozen=True)
class SegmentComparison:
    """Two segments of the same prompts. Intervals are of 95 %, over prompts.

    Attributes
    ----------
    prompts
        Number of prompts.
    first, second
        The effect of category in each segment.
    difference, difference_ci
        Cohen's d of the second segment minus that of the first; None where either is.
    own, own_ci
        Mean similarity of a prompt's signatures in the two segments.
    same_category, other_categories
        Mean over prompts of the mean similarity of its first signature with the second signatures of the other
        prompts of its category, and of the prompts of other categories; None where there are none.
    p_value
        Of `own`, one-sided, with the second signatures permuted within categories; None where no category has two
        prompts.
    permutations
        Number of permutations.
    """

    prompts: int
    first: SegmentEffect
    second: SegmentEffect
    difference: float | None
    difference_ci: Interval | None
    own: float
    own_ci: Interval | None
    same_category: float | None
    other_categories: float | None
    p_value: float | None
    permutations: int


def compare_segments(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> SegmentComparison:
    """Compare the effect of category in two segments, and the routing of each prompt in both.

    Parameters
    ----------
    first, second
        Signatures in each segment ``(prompts, dimensions)``, of the same prompts in the same order, none of them zero.
    labels
        The category of each prompt.
    permutations
        Number of permutations; each reads one number a prompt, from a matrix of similarities for every category.
    rng
        Seed or generator of the permutations.

    Raises
    ------
    NotComputable
        If there is no prompt.
    """
    if len(labels) == 0:
        message = "no prompt has tokens in both segments"
        raise NotComputable(message)
    numbers = category_numbers(labels)
    before, after = category_effect(first, labels), category_effect(second, labels)
    difference = None if before.cohens_d is None or after.cohens_d is None else after.cohens_d - before.cohens_d
    with np.errstate(invalid="ignore"):  # without a spread both are infinite, and there is no interval
        moved = after.without_each - before.without_each
    units, others = unit_rows(first), unit_rows(second)
    similarities = np.einsum("ij,ij->i", units, others)
    own = bounded(similarities.mean(), COSINES)
    same_category, other_categories = _means_with_others(units, others, numbers)
    null = _permuted_means(units, others, numbers, permutations=permutations, rng=rng)
    return SegmentComparison(
        prompts=len(labels),
        first=_effect(before),
        second=_effect(after),
        difference=difference,
        difference_ci=None if difference is None else jackknife_interval(difference, moved, numbers),
        own=own,
        own_ci=clipped(mean_interval(similarities, numbers), COSINES),
        same_category=same_category,
        other_categories=other_categories,
        p_value=None if same_category is None else p_value(own, null),
        permutations=permutations,
    )


def _effect(effect: CategoryEffect) -> SegmentEffect:
    return SegmentEffect(effect.within, effect.across, effect.cohens_d, effect.cohens_d_ci)


def _means_with_others(
    first: NDArray[np.float64], second: NDArray[np.float64], numbers: NDArray[np.integer]
) -> tuple[float | None, float | None]:
    """Return mean similarity with other prompts of the same category, and of others, from sums of vectors.

    Every prompt counts once, as in the mean of its own similarity. A mean over pairs would give large categories more
    weight, and the two means could not be compared.
    """
    sizes = np.bincount(numbers)
    marks = np.eye(len(sizes))[:, numbers]  # (categories, prompts)
    firsts, seconds = marks @ first, marks @ second
    every = firsts @ seconds.sum(axis=0)
    together = np.einsum("ij,ij->i", firsts, seconds)
    own = marks @ np.einsum("ij,ij->i", first, second)
    company = sizes > 1
    same = others = None
    if company.any():
        same = bounded(((together - own)[company] / (sizes[company] - 1)).sum() / sizes[company].sum(), COSINES)
    if len(sizes) > 1:
        others = bounded(((every - together) / (len(numbers) - sizes)).sum() / len(numbers), COSINES)
    return same, others


def _permuted_means(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    numbers: NDArray[np.integer],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> NDArray[np.float64]:  # (permutations,)
    """Return the mean similarity of rows of `first` with rows of `second` permuted within categories."""
    generator = np.random.default_rng(rng)
    sums = np.zeros(permutations)
    for category in range(int(numbers.max()) + 1):
        similarities = first[numbers == category] @ second[numbers == category].T
        rows = np.arange(len(similarities))
        size = max(1, _MOST_NUMBERS // len(rows))
        for start in range(0, permutations, size):
            orders = np.tile(rows, (min(size, permutations - start), 1))
            sums[start : start + size] += similarities[rows, generator.permuted(orders, axis=1)].sum(axis=1)
    return np.asarray(sums / len(numbers))
