"""Mean, deviation and interval of the similarity of a set of pairs, and the effect size between two sets."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import LEAST_UNITS, jackknife_interval
from moexray.stats.inference.units import Units
from moexray.stats.pairs.pair_sums import PairSums, PairTotals

# Similarities of equal signatures differ by this much; a smaller spread gives no effect size.
_ROUNDING = 1e-14
# A rest of Σs² − (Σs)²/n below this share of the terms of Σs² is rounding: there is no spread.
_NO_SPREAD = 64 * np.finfo(np.float64).eps
# The range of a similarity.
COSINES = (-1, 1)
# With fewer units so few pairs are left within categories without one of them that intervals cover 86 to 90 %.
LEAST_WITHIN = 6

Interval = tuple[float, float]


@dataclass(frozen=True)
class PairSummary:
    """Similarity of a set of unordered pairs: mean, standard deviation (ddof 1), number of pairs, interval of the mean.

    None where there are too few pairs, or too few units behind them.
    """

    mean: float | None
    std: float | None
    pairs: int
    ci: Interval | None = None


@dataclass(frozen=True)
class Pairs:
    """A set of pairs: sums of shifted similarity over the pairs of each unit and over all of them.

    No pair is inside a unit, so what is left without a unit are the sums minus those of its pairs.

    Attributes
    ----------
    shift
        The constant that was subtracted from every similarity.
    second, magnitude
        Sum of the squares, every pair once, and the size of their terms before they cancel.
    own_pairs, own_first
        Number of pairs of each unit, and their sum ``(units,)``. Every pair belongs to two units.
    """

    shift: float
    second: float
    magnitude: float
    own_pairs: NDArray[np.int64]
    own_first: NDArray[np.float64]

    @classmethod
    def chosen(cls, sums: PairSums, units: Units, which: NDArray[np.bool_]) -> "Pairs":
        """Select the pairs of the categories where the symmetric `which` ``(categories, categories)`` is true."""
        places = which[units.categories]
        pairs, first = (units.by_unit(part.sum(axis=1, where=places)) for part in (sums.pairs, sums.first))
        return cls.of(sums.totals, which, pairs.astype(np.int64), first)

    @classmethod
    def of(
        cls,
        totals: PairTotals,
        which: NDArray[np.bool_],
        own_pairs: NDArray[np.int64],
        own_first: NDArray[np.float64],
    ) -> "Pairs":
        """Select the same pairs, where the numbers and sums of each unit are known already."""
        second, magnitude = (float(part.sum(where=which)) / 2 for part in (totals.second, totals.magnitude))
        return cls(totals.shift, second, magnitude, own_pairs, own_first)

    @property
    def number(self) -> int:
        """Number of pairs."""
        return int(self.own_pairs.sum()) // 2

    @property
    def first(self) -> float:
        """Sum of the shifted similarity over the pairs."""
        return float(self.own_first.sum()) / 2

    def summary(self, strata: NDArray[np.integer], *, least: int = LEAST_UNITS) -> PairSummary:
        """Return mean, standard deviation, and the mean's interval over units drawn within their strata."""
        found = summary_of_sums(self.shift, self.number, self.first, self.second, self.magnitude)
        if found.mean is None:
            return found
        members = self.own_pairs > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = self.shift + (self.first - self.own_first) / (self.number - self.own_pairs)
        interval = clipped(jackknife_interval(found.mean, left_out[members], strata[members], least=least), COSINES)
        return replace(found, ci=interval)

    def without_each(
        self, own_second: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return number, mean and sum of squared deviations of the pairs that remain without each unit.

        Parameters
        ----------
        own_second
            Sum of the squares over the pairs of each unit ``(units,)``.
        """
        pairs = (self.number - self.own_pairs).astype(np.float64)
        first = self.first - self.own_first
        mean = first / pairs
        second = self.second - own_second
        squares = second - first * mean
        return pairs, self.shift + mean, np.where(squares > _NO_SPREAD * self.magnitude, squares, 0.0)


def summary_of_sums(shift: float, pairs: int, first: float, second: float, magnitude: float) -> PairSummary:
    """Return mean and standard deviation, without an interval, from the sums of `Pairs`."""
    if pairs == 0:
        return PairSummary(None, None, 0)
    squares = second - first**2 / pairs
    if squares <= _NO_SPREAD * magnitude:
        squares = 0.0
    std = float(np.sqrt(squares / (pairs - 1))) if pairs > 1 else None
    return PairSummary(bounded(shift + first / pairs, COSINES), std, pairs)


def cohens_d(first: PairSummary, second: PairSummary) -> float | None:
    """Cohen's d: difference of the means over the pooled standard deviation.

    ``(m1 - m2) / sqrt(((n1 - 1) s1² + (n2 - 1) s2²) / (n1 + n2 - 2))``: J. Cohen, *Statistical Power
    Analysis for the Behavioral Sciences*, 2nd ed. (1988), section 2.5. None where it is not defined.
    """
    pooled = pooled_deviation(first, second)
    if pooled is None or first.mean is None or second.mean is None:
        return None
    return float((first.mean - second.mean) / pooled)


def pooled_deviation(first: PairSummary, second: PairSummary) -> float | None:
    """Return the standard deviation that Cohen's d divides by; None where it is not defined or nothing varies."""
    if first.std is None or second.std is None:
        return None
    squares = (first.pairs - 1) * first.std**2 + (second.pairs - 1) * second.std**2
    pooled = float(np.sqrt(squares / (first.pairs + second.pairs - 2)))
    return pooled if pooled > _ROUNDING else None


def effect_sizes_without_each(
    within: Pairs, across: Pairs, own_second: NDArray[np.float64]
) -> NDArray[np.float64]:  # (units,)
    """Cohen's d with each unit left out in turn; not finite where it does not exist.

    Parameters
    ----------
    own_second
        For each unit, the sum of the squares over its pairs within and across ``(units, 2)``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n, mean, squares = within.without_each(own_second[:, 0])
        m, other_mean, other_squares = across.without_each(own_second[:, 1])
        return np.asarray((mean - other_mean) / np.sqrt((squares + other_squares) / (n + m - 2)))
