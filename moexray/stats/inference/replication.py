"""The difference between two studies, whose errors both count, and whether it is small, large or undecided."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from moexray.stats.inference.intervals import LEVEL

Agreement = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True)
class Estimate:
    """A value of one study, with its 95 % interval."""

    value: float
    ci: tuple[float, float]


@dataclass(frozen=True)
class StudyDifference:
    """The difference of two values of independent studies.

    Attributes
    ----------
    value
        The first minus the second.
    ci
        Its 95 % interval; if it excludes 0, the values differ.
    equivalence_ci
        The interval that lies inside of the margin where both one-sided tests of 5 % show that they are equivalent:
        of 90 %, unless several values are tested at once.
    detectable
        The smallest difference that the two studies could have shown: half the width of `ci`.
    """

    value: float
    ci: tuple[float, float]
    equivalence_ci: tuple[float, float]

    @property
    def detectable(self) -> float:
        """The smallest difference that the two studies could have shown: half the width of `ci`."""
        return (self.ci[1] - self.ci[0]) / 2

    def agreement(self, margin: float | None) -> Agreement:
        """Return what the two values are to each other; without a margin they are never equivalent.

        Equivalence is shown by two one-sided tests (D. Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987): their
        interval lies inside of ± margin. If it does not, and the 95 % interval excludes 0, the values are different.
        """
        low, high = self.equivalence_ci
        if margin is not None and -margin < low and high < margin:
            return "equivalent"
        return "different" if self.ci[0] > 0 or self.ci[1] < 0 else "undecided"


def study_difference(
    one: Estimate,
    other: Estimate,
    *,
    level: float = 1 - LEVEL,
    equivalence_level: float = 2 * (1 - LEVEL),
    freedom: float = 1,
) -> StudyDifference:
    """Subtract the value of one study from that of another.

    The half-widths of the two intervals are added in quadrature, upper to lower, as they stand: an interval of the
    difference for asymmetric and unlike intervals (G. Zou and A. Donner, Statistics in Medicine 27, 2008). With both
    studies' errors in it, it is the interval in which a replication of one and the same truth falls (J. Spence and
    D. Stanley, PLoS ONE 11, 2016).

    Parameters
    ----------
    one, other
        The values, with 95 % intervals.
    level
        Error of the interval of the difference, smaller than 5 % where several values are tested at once.
    equivalence_level
        Error of the interval that shows equivalence.
    freedom
        The fewest degrees of freedom behind the intervals, which say how much wider one of a smaller error is.
    """
    value = one.value - other.value
    below = sqrt((one.value - one.ci[0]) ** 2 + (other.ci[1] - other.value) ** 2)
    above = sqrt((one.ci[1] - one.value) ** 2 + (other.value - other.ci[0]) ** 2)
    outer, inner = (_relative_width(error, freedom) for error in (level, equivalence_level))
    return StudyDifference(
        value=value,
        ci=(value - outer * below, value + outer * above),
        equivalence_ci=(value - inner * below, value + inner * above),
    )


def _relative_width(error: float, freedom: float) -> float:
    """Return the width of an interval over that of a 95 % interval, at most.

    The ratio of Student's quantiles falls with the degrees of freedom for wider intervals, and rises for narrower ones:
    the fewest degrees of freedom, or infinitely many, give the wider interval.
    """
    from scipy.special import ndtri, stdtrit

    if error > 1 - LEVEL:
        return float(ndtri(1 - error / 2) / ndtri((1 + LEVEL) / 2))
    return float(stdtrit(freedom, 1 - error / 2) / stdtrit(freedom, (1 + LEVEL) / 2))
