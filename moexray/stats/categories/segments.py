"""Routing of two segments of the same prompts compared: the prompt's and the generated tokens, or any two others.

Whether the second segment follows the prompt *itself*, and not only its category or its unit (a template, a content),
is tested by exchanging second signatures where nothing but the prompt tells them apart:

- prompts of one unit and category, among themselves;
- prompts that are units of their own, among those of their category;
- of units that hold one prompt in each of several categories (the same contents posed in every category), their
  prompts' deviations from the unit's mean, as a whole, among the units of the same categories. What a content and a
  category add to the signatures drops out of the deviations or is common to all units, so the deviations of two units
  can be exchanged.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import jackknife_interval, mean_interval
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of
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
    """Two segments of the same prompts. Intervals are of 95 %, over units.

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
        Mean over prompts of the mean similarity of its first signature with the second signatures of the prompts of
        other units: those of its category, and those of other categories. None where there are none.
    p_value
        Of `own`, one-sided, with second signatures exchanged where only the prompt tells them apart; None where no two
        can be exchanged.
    least_p
        The smallest p that so many exchanges can give.
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
    least_p: float | None
    permutations: int


def compare_segments(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
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
    groups
        The group of each prompt: see `moexray.stats.inference.units.units_of`.
    permutations
        Number of permutations; each reads one number a prompt, from a matrix of similarities for every set.
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
    units = units_of(labels, groups)
    before, after = (category_effect(segment, labels, groups=groups) for segment in (first, second))
    difference = None if before.cohens_d is None or after.cohens_d is None else after.cohens_d - before.cohens_d
    with np.errstate(invalid="ignore"):  # without a spread both are infinite, and there is no interval
        moved = after.without_each - before.without_each
    one, other = unit_rows(first), unit_rows(second)
    similarities = np.einsum("ij,ij->i", one, other)
    own_ci = mean_interval(similarities, units.categories, units=units)
    same_category, other_categories = _means_with_others(one, other, units)
    sets = _exchangeable(units)
    observed, null = _exchanged(one, other, sets, permutations=permutations, rng=rng)
    return SegmentComparison(
        prompts=len(labels),
        first=_effect(before),
        second=_effect(after),
        difference=difference,
        difference_ci=None if difference is None else jackknife_interval(difference, moved, units.strata),
        own=bounded(similarities.mean(), COSINES),
        own_ci=clipped(own_ci, COSINES),
        same_category=same_category,
        other_categories=other_categories,
        p_value=p_value(observed, null) if sets else None,
        least_p=_least_p(sets) if sets else None,
        permutations=permutations,
    )


def _effect(effect: CategoryEffect) -> SegmentEffect:
    return SegmentEffect(effect.within, effect.across, effect.cohens_d, effect.cohens_d_ci)


def _means_with_others(
    first: NDArray[np.float64], second: NDArray[np.float64], units: Units
) -> tuple[float | None, float | None]:
    """Return mean similarity with prompts of other units: of the same category, and of others, from sums of vectors.

    Every prompt counts once, as in the mean of its own similarity. A mean over pairs would give large categories more
    weight, and the two means could not be compared.
    """
    numbers = (units.categories, units.parts, units.units)
    sizes = [np.bincount(one)[one] for one in numbers]
    with_category, with_part, with_unit = (np.einsum("ij,ij->i", first, _sums(second, one)[one]) for one in numbers)
    with_all = first @ second.sum(axis=0)
    same = _mean_of(with_category - with_part, sizes[0] - sizes[1])
    rest = with_all - with_category - with_unit + with_part
    return same, _mean_of(rest, len(first) - sizes[0] - sizes[2] + sizes[1])


def _sums(vectors: NDArray[np.float64], numbers: NDArray[np.integer]) -> NDArray[np.float64]:  # (numbers, dimensions)
    """Sum the rows of each number."""
    found = np.zeros((int(numbers.max()) + 1, vectors.shape[1]))
    np.add.at(found, numbers, vectors)
    return found


def _mean_of(sums: NDArray[np.float64], sizes: NDArray[np.integer]) -> float | None:
    """Return the mean of the means of the prompts that have company; None if none has."""
    company = sizes > 0
    return bounded((sums[company] / sizes[company]).mean(), COSINES) if company.any() else None


def _exchangeable(units: Units) -> list[NDArray[np.intp]]:  # (items, prompts of an item) each
    """Return the sets of items, each of a prompt or of a unit's prompts, whose second signatures can be exchanged."""
    prompts = np.bincount(units.units)
    alone = prompts[units.units] == 1
    found = [np.flatnonzero(alone & (units.categories == c))[:, None] for c in range(len(units.names))]
    found += [np.flatnonzero(units.parts == part)[:, None] for part in np.flatnonzero(np.bincount(units.parts) > 1)]
    of_categories: dict[tuple[int, ...], list[NDArray[np.intp]]] = defaultdict(list)
    for unit in np.flatnonzero(prompts > 1):
        rows = np.flatnonzero(units.units == unit)
        rows = rows[np.argsort(units.categories[rows])]
        held = tuple(units.categories[rows].tolist())
        if len(set(held)) == len(held):
            of_categories[held].append(rows)
    found += [np.stack(rows) for rows in of_categories.values()]
    return [one for one in found if len(one) > 1]


def _exchanged(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    sets: Sequence[NDArray[np.intp]],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> tuple[float, NDArray[np.float64]]:  # null (permutations,)
    """Return the sum of similarity of items with themselves, and with those that permutations put in their place."""
    generator = np.random.default_rng(rng)
    observed, sums = 0.0, np.zeros(permutations)
    for items in sets:
        similarities = _deviations(first[items]) @ _deviations(second[items]).T
        rows = np.arange(len(items))
        observed += float(np.trace(similarities))
        size = max(1, _MOST_NUMBERS // len(rows))
        for start in range(0, permutations, size):
            orders = np.tile(rows, (min(size, permutations - start), 1))
            sums[start : start + size] += similarities[rows, generator.permuted(orders, axis=1)].sum(axis=1)
    return observed / len(first), sums / len(first)


def _deviations(of_items: NDArray[np.float64]) -> NDArray[np.float64]:  # (items, prompts of an item * dimensions)
    """Return the vectors of an item, minus their mean where there are several."""
    if of_items.shape[1] > 1:
        of_items = of_items - of_items.mean(axis=1, keepdims=True)
    return of_items.reshape(len(of_items), -1)


def _least_p(sets: Sequence[NDArray[np.intp]]) -> float:
    """Return one over the number of arrangements of these sets."""
    return exp(-sum(lgamma(len(items) + 1) for items in sets))
