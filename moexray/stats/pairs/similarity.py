"""Cosine similarity of pairs of signatures within and across categories, and the effect size between the two."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.auc import EXACT_PROMPTS, Auc, auc_of_sample, exact_auc, sample_pairs
from moexray.stats.pairs.balanced import BalancedEffect, balanced_effect
from moexray.stats.pairs.interactions import equal_weights_of_pairs, kept_share
from moexray.stats.pairs.pair_sums import PairSums, PairTotals, pair_sums
from moexray.stats.pairs.summaries import (
    LEAST_WITHIN,
    Interval,
    Pairs,
    PairSummary,
    cohens_d,
    effect_sizes_without_each,
    pooled_deviation,
)


@dataclass(frozen=True)
class Similarity:
    """Similarity of pairs of prompts of different units. Intervals are of 95 %, over units.

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
    balanced
        The effect with equal weights of categories; None where a category, or two, have no pair.
    kept
        See `moexray.stats.pairs.interactions.kept_share`.
    """

    within: PairSummary
    across: PairSummary
    cohens_d: float | None
    cohens_d_ci: Interval | None
    auc: Auc | None
    by_category: dict[str, PairSummary]
    by_pair: dict[tuple[str, str], PairSummary]
    balanced: BalancedEffect | None
    kept: float


@dataclass(frozen=True)
class CategoryEffect:
    """Mean similarity within and across categories, Cohen's d, its 95 % interval, and d without each unit.

    Attributes
    ----------
    without_each
        Cohen's d with each unit left out ``(units,)``; not finite where it does not exist. Leaving out a unit without
        a signature changes nothing.
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
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    rng: int | np.random.Generator = 0,
) -> Similarity:
    """Summarise the cosine similarity of all unordered pairs of rows of different units.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``, none of them zero.
    labels
        The category of each.
    groups
        The group of each prompt, whose prompts are one unit; an empty name is no group.
    rng
        Seed or generator of the pairs that the AUC samples, where there are too many prompts to compare all.
    """
    directions, units = unit_rows(vectors), units_of(labels, groups)
    found = summarised(pair_sums(directions, units.categories, len(units.names), units.together), units, None)
    if not (units.pairs_within and units.pairs_across):
        return found
    if len(directions) > EXACT_PROMPTS:
        return replace(found, auc=_sampled_auc(directions, units, rng))
    # Ranks of pairs move less with a single pair than means do: half the correction, on the scale of logarithms, makes
    # intervals cover 95 % where categories do not differ; the whole of it makes them cover 91 %.
    return replace(found, auc=exact_auc(directions, units, kept=sqrt(found.kept)))


def summarised(sums: PairSums, units: Units, auc: Auc | None) -> Similarity:
    """Compute means, standard deviations, effect sizes and intervals from sums over pairs.

    Parameters
    ----------
    sums
        Sums over the pairs of every prompt with every category.
    units
        The categories and the units of the prompts.
    auc
        The AUC of the pairs, which sums do not give.
    """
    names, strata = units.names, units.strata
    own = np.eye(len(names), dtype=bool)
    within, across = Pairs.chosen(sums, units, own), Pairs.chosen(sums, units, ~own)
    inside, outside = within.summary(strata, least=LEAST_WITHIN), across.summary(strata)
    d = cohens_d(inside, outside)
    without_each = effect_sizes_without_each(within, across, units.by_unit(sums.second[:, :2]))
    kept = kept_share(
        sums.totals, equal_weights_of_pairs(sums.totals), pooled_deviation(inside, outside), without_each, strata
    )
    between = {
        (b, c): Pairs.chosen(sums, units, _marked(len(names), b, c)).summary(strata)
        for b, c in combinations_with_replacement(range(len(names)), 2)
    }
    return Similarity(
        within=inside,
        across=outside,
        cohens_d=d,
        cohens_d_ci=None if d is None else jackknife_interval(d, without_each, strata, kept=kept),
        auc=auc,
        by_category={name: between[c, c] for c, name in enumerate(names)},
        by_pair={(names[b], names[c]): summary for (b, c), summary in between.items() if b != c},
        balanced=balanced_effect(sums, units),
        kept=kept,
    )


def _marked(categories: int, b: int, c: int) -> NDArray[np.bool_]:
    which = np.zeros((categories, categories), dtype=bool)
    which[b, c] = which[c, b] = True
    return which


def _sampled_auc(directions: NDArray[np.float64], units: Units, rng: int | np.random.Generator) -> Auc:
    pairs = sample_pairs(units, rng=rng)
    return auc_of_sample(directions[pairs.rows], pairs)


def category_effect(
    vectors: NDArray[np.float64], labels: Sequence[str], *, groups: Sequence[str] | None = None
) -> CategoryEffect:
    """Measure the effect of category on similarity.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``. A row of zeros, a prompt all of whose tokens the router dropped, has no
        direction and so no similarity to any other: it is left out.
    labels
        The category of each prompt.
    groups
        The group of each prompt: see `similarity`.
    """
    units = units_of(labels, groups)
    present = np.asarray(vectors.any(axis=1))
    some = units if present.all() else units.take(np.flatnonzero(present))
    directions = unit_rows(vectors if present.all() else vectors[present])
    sums = pair_sums(directions, some.categories, len(units.names), some.together)
    own = np.eye(len(units.names), dtype=bool)
    both = Pairs.chosen(sums, some, own), Pairs.chosen(sums, some, ~own)
    return effect_between(sums.totals, both, some.by_unit(sums.second[:, :2]), units, present)


def effect_between(
    totals: PairTotals,
    both: tuple[Pairs, Pairs],
    own_second: NDArray[np.float64],
    units: Units,
    present: NDArray[np.bool_],
) -> CategoryEffect:
    """Measure the effect of category from sums over the pairs within and across.

    Parameters
    ----------
    totals, both
        Sums over the pairs of the prompts that have a signature: between categories, and of each unit within and
        across.
    own_second
        See `moexray.stats.pairs.summaries.effect_sizes_without_each`.
    units
        The units of every prompt.
    present
        Which prompts have a signature.
    """
    within, across = both
    there = np.unique(units.units[present])
    strata = units.strata[there]
    inside, outside = within.summary(strata, least=LEAST_WITHIN), across.summary(strata)
    d = cohens_d(inside, outside)
    some = effect_sizes_without_each(within, across, own_second)
    kept = kept_share(totals, equal_weights_of_pairs(totals), pooled_deviation(inside, outside), some, strata)
    interval = None if d is None else jackknife_interval(d, some, strata, kept=kept)
    without_each = np.full(len(units), np.nan if d is None else d)
    without_each[there] = some
    return CategoryEffect(inside.mean, outside.mean, d, interval, without_each, int(np.count_nonzero(present)))
