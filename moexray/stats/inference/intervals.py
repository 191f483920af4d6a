"""Confidence intervals: their level, the Wilson interval of a proportion, and bounds of a statistic's range."""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % interval of the probability behind independent trials (E. Wilson, J. Am. Stat. Assoc. 22, 1927).

    It holds the share of successes; numbers that are not whole stand for an effective number of trials.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    share, shrunk = successes / trials, 1 + z**2 / trials
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / shrunk
    centre = (share + z**2 / (2 * trials)) / shrunk
    # At a share of 0 or 1 an end is that share; rounding must not leave it outside.
    low = 0.0 if successes <= 0 else min(float(centre - half), share)
    high = 1.0 if successes >= trials else max(float(centre + half), share)
    return max(0.0, low), min(1.0, high)


def clipped(interval: tuple[float, float] | None, bounds: Sequence[float]) -> tuple[float, float] | None:
    """Clip an interval to the range of its statistic."""
    return None if interval is None else (bounded(interval[0], bounds), bounded(interval[1], bounds))


def bounded(value: float, bounds: Sequence[float]) -> float:
    """Clip a value to its range: rounding can carry a mean of cosines past 1, and so out of its own interval."""
    return float(min(max(value, bounds[0]), bounds[1]))
