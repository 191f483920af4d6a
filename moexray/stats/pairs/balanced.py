"""Cohen's d in which every category, and every pair of categories, counts equally, however many prompts it has.

The study's d weighs categories by their numbers of pairs, so it changes with the design: one and the same population
gives another d where one category has more prompts. Here, with s the similarity and means over the pairs of one
category, or of one pair of categories,

    within = mean over categories of mean s,        across = mean over pairs of categories of mean s,
    variance of either = mean of mean s² − (mean of mean s)²,
    d = (within − across) / sqrt((variance within + (C − 1) · variance across) / C).

The weights 1/C and (C − 1)/C are the shares of pairs within and across in a large study with categories of one size, so
there it is the study's d.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.units import Units
from moexray.stats.pairs.interactions import equal_weights_of_categories, kept_share
from moexray.stats.pairs.pair_sums import PairSums

Interval = tuple[float, float]
# A variance below this share of the second moment is rounding.
LEAST_BALANCED = (
    10  # with fewer, intervals cover 98 to 99 % where categories do not differ, and 85 % with 3 against 200
)
_NO_SPREAD = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class BalancedEffect:
    """The effect of category on similarity, with equal weights of categories. Intervals are of 95 %, over units.

    Attributes
    ----------
    difference, difference_ci
        Mean similarity within minus across.
    cohens_d, ci
        Effect size; None where similarity does not vary.
    """

    difference: float
    difference_ci: Interval | None
    cohens_d: float | None
    ci: Interval | None


@dataclass(frozen=True)
class _Means:
    """Mean t and t² within categories and across pairs of them, over all prompts or without each unit ``(…,)``."""

    within: NDArray[np.float64]
    within_squares: NDArray[np.float64]
    across: NDArray[np.float64]
    across_squares: NDArray[np.float64]
    categories: int

    @property
    def difference(self) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(self.within - self.across)

    @property
    def deviation(self) -> NDArray[np.float64]:
        """What the effect size divides by; NaN where nothing varies."""
        with np.errstate(invalid="ignore"):
            variance = self.within_squares - self.within**2
            variance = variance + (self.categories - 1) * (self.across_squares - self.across**2)
            size = self.within_squares + (self.categories - 1) * self.across_squares
            kept = np.where(variance > _NO_SPREAD * size, variance / self.categories, np.nan)
        return np.asarray(np.sqrt(kept))

    @property
    def cohens_d(self) -> NDArray[np.float64]:
        """Effect size; NaN where nothing varies."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.difference / self.deviation)


def balanced_effect(sums: PairSums, units: Units) -> BalancedEffect | None:
    """Measure the effect of category with equal weights of categories, and of pairs of categories.

    Parameters
    ----------
    sums
        Sums over the pairs of every prompt.
    units
        The units of the prompts, which intervals leave out.

    Returns
    -------
    None if a category has no pair within, or two categories have none between them.
    """
    totals = sums.totals
    if len(units.names) < 2 or not totals.pairs.all():
        return None
    whole = _of_totals(totals.pairs, totals.first, totals.second)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = _without_crossed(sums, units) if units.design == "crossed" else _without_nested(sums, units)
    difference, d = float(whole.difference), float(whole.cohens_d)
    known = bool(np.isfinite(d))
    weights, strata = equal_weights_of_categories(totals), units.strata

    def interval(value: float, without: NDArray[np.float64], scale: float) -> Interval | None:
        kept = kept_share(totals, weights, scale, without, strata)
        return jackknife_interval(value, without, strata, least=LEAST_BALANCED, kept=kept)

    return BalancedEffect(
        difference=difference,
        difference_ci=interval(difference, left.difference, 1.0),
        cohens_d=d if known else None,
        ci=interval(d, left.cohens_d, float(whole.deviation)) if known else None,
    )


def balanced_without_each(sums: PairSums, units: Units) -> tuple[float, NDArray[np.float64]]:
    """Return the effect size of `balanced_effect`, and without each unit ``(units,)``; NaN where there is none."""
    if len(units.names) < 2 or not sums.totals.pairs.all():
        return float("nan"), np.full(len(units), np.nan)
    whole = _of_totals(sums.totals.pairs, sums.totals.first, sums.totals.second)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = _without_crossed(sums, units) if units.design == "crossed" else _without_nested(sums, units)
        return float(whole.cohens_d), left.cohens_d


def _of_totals(
    pairs: NDArray[np.number], first: NDArray[np.float64], second: NDArray[np.float64]
) -> _Means:  # of (…, categories, categories)
    categories = pairs.shape[-1]
    own = np.eye(categories, dtype=bool)
    means = [part / pairs for part in (first, second)]
    inside, outside = ([mean[..., which].mean(axis=-1) for mean in means] for which in (own, ~own))
    return _Means(inside[0], inside[1], outside[0], outside[1], categories)


def _without_crossed(sums: PairSums, units: Units) -> _Means:
    """Take the pairs of each unit, which may be of several categories, from every cell of the totals."""
    categories, totals = len(units.names), sums.totals
    if sums.squares is None:
        message = "units of several categories need the sums of squares to each category"
        raise ValueError(message)
    left = []
    for whole, parts in ((totals.pairs, sums.pairs), (totals.first, sums.first), (totals.second, sums.squares)):
        own = np.zeros((len(units), categories, categories))
        np.add.at(own, (units.units, units.categories), parts)
        left.append(whole - own - own.swapaxes(1, 2))
    return _of_totals(*left)


def _without_nested(sums: PairSums, units: Units) -> _Means:
    """Take the pairs of each unit of one category from the means of that category, and of its pairs with others.

    With n_u of the n_c prompts of category c in unit u, the mean over the pairs with category d becomes
    (T_cd − Σ_u r_d) / ((n_c − n_u) n_d), so the sum over d needs only Σ_d r_d / n_d.
    """
    totals, categories = sums.totals, len(units.names)
    of_unit = units.strata
    sizes = np.bincount(units.categories, minlength=categories).astype(np.float64)
    held = units.by_unit(np.ones(len(units.units)))
    own = np.eye(categories, dtype=bool)
    number = categories * (categories - 1) / 2
    own_pairs = units.by_unit(sums.pairs[np.arange(len(units.units)), units.categories])
    own_first = units.by_unit(sums.first[np.arange(len(units.units)), units.categories])
    weighted_first = units.by_unit((sums.first / sizes).sum(axis=1, where=~own[units.categories]))
    second = units.by_unit(sums.second)
    found = []
    for whole, inside, outside in (
        (totals.first, own_first, weighted_first),
        (totals.second, second[:, 0], second[:, 2]),
    ):
        means = whole / totals.pairs
        within = np.diag(means)
        left = (np.diag(whole)[of_unit] - 2 * inside) / (np.diag(totals.pairs)[of_unit] - 2 * own_pairs)
        found.append((within.sum() - within[of_unit] + left) / categories)
        to_others = means.sum(axis=1, where=~own)
        left = (to_others[of_unit] * sizes[of_unit] - outside) / (sizes[of_unit] - held)
        found.append((to_others.sum() / 2 - to_others[of_unit] + left) / number)
    return _Means(found[0], found[2], found[1], found[3], categories)
