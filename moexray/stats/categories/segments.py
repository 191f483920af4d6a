"""Routing of the prompt's tokens against routing of the generated ones, over the same prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import bounded, clipped, jackknife_interval, mean_interval
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.permutation import p_value
from moexray.stats.pairs.similarity import CategoryEffect, category_effect, unit_rows
from moexray.stats.pairs.summaries import COSINES, Interval

_MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class PhaseEffect:
    """One phase: mean similarity within and across categories, Cohen's d between them and its interval of 95 %."""

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None


@dataclass(frozen=True)
class PhaseComparison:
    """Two phases of the same prompts. Intervals are of 95 %, over prompts.

    Attributes
    ----------
    prompts
        How many.
    prompt, generated
        The effect of category in either phase.
    difference, difference_ci
        Cohen's d of the generated phase less that of the prompt's; None where one is.
    own, own_ci
        Mean similarity of a prompt's signature in one phase and in the other.
    same_category, other_categories
        Mean over prompts of the mean similarity of its prompt-phase signature with the generated-phase signatures
        of the other prompts of its category, and of the prompts of other categories; None where there are none.
    p_value
        Of `own`, one-sided, generated-phase signatures shuffled over the prompts of a category; None where no
        category has two prompts.
    permutations
        Number of shuffles.
    """

    prompts: int
    prompt: PhaseEffect
    generated: PhaseEffect
    difference: float | None
    difference_ci: Interval | None
    own: float
    own_ci: Interval | None
    same_category: float | None
    other_categories: float | None
    p_value: float | None
    permutations: int


def compare_phases(
    prompt: NDArray[np.float64],
    generated: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> PhaseComparison:
    """Compare the effect of category in two phases, and the routing of one prompt in both.

    Parameters
    ----------
    prompt, generated
        Signatures of either phase ``(prompts, dimensions)``, a row of each for every prompt, none of them zero.
    labels
        The category of each prompt.
    permutations
        Number of shuffles; each looks at one number a prompt, from a matrix of similarities for every category.
    rng
        Seed or generator of the shuffles.

    Raises
    ------
    NotComputable
        If there is no prompt.
    """
    if len(labels) == 0:
        message = "no prompt has tokens in both phases"
        raise NotComputable(message)
    numbers = category_numbers(labels)
    first, second = unit_rows(prompt), unit_rows(generated)
    before, after = category_effect(prompt, labels), category_effect(generated, labels)
    difference = None if before.cohens_d is None or after.cohens_d is None else after.cohens_d - before.cohens_d
    with np.errstate(invalid="ignore"):  # without a spread both are infinite, and there is no interval
        moved = after.without_each - before.without_each
    alike = np.einsum("ij,ij->i", first, second)
    own = bounded(alike.mean(), COSINES)
    same, others = _means_with_others(first, second, numbers)
    null = _shuffled(first, second, numbers, permutations=permutations, rng=rng)
    return PhaseComparison(
        prompts=len(labels),
        prompt=_shown(before),
        generated=_shown(after),
        difference=difference,
        difference_ci=(None if difference is None else jackknife_interval(difference, moved, numbers)),
        own=own,
        own_ci=clipped(mean_interval(alike, numbers), COSINES),
        same_category=same,
        other_categories=others,
        p_value=None if same is None else p_value(own, null),
        permutations=permutations,
    )


def _shown(effect: CategoryEffect) -> PhaseEffect:
    return PhaseEffect(effect.within, effect.across, effect.cohens_d, effect.cohens_d_ci)


def _means_with_others(
    first: NDArray[np.float64], second: NDArray[np.float64], numbers: NDArray[np.integer]
) -> tuple[float | None, float | None]:
    """Mean similarity with others of the same and of other categories, from sums of each category's vectors.

    Every prompt counts once, as it does in the mean with itself: over pairs, a large category would count more
    here than there, and the two means could not be compared.
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


def _shuffled(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    numbers: NDArray[np.integer],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> NDArray[np.float64]:  # (permutations,)
    """Mean similarity of a row of `first` and the row of `second` that a shuffle within its category gives it."""
    generator = np.random.default_rng(rng)
    sums = np.zeros(permutations)
    for category in range(int(numbers.max()) + 1):
        alike = first[numbers == category] @ second[numbers == category].T
        rows = np.arange(len(alike))
        size = max(1, _MOST_NUMBERS // len(rows))
        for start in range(0, permutations, size):
            orders = np.tile(rows, (min(size, permutations - start), 1))
            sums[start : start + size] += alike[rows, generator.permuted(orders, axis=1)].sum(axis=1)
    return np.asarray(sums / len(numbers))
