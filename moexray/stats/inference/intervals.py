"""Confidence intervals: their level, the Wilson interval of a proportion, and bounds of a statistic's range."""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of the probability behind independent trials (E. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    share, shrunk = successes / trials, 1 + z**2 / trials
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / shrunk
    centre = (share + z**2 / (2 * trials)) / shrunk
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def clipped(interval: tuple[float, float] | None, bounds: Sequence[float]) -> tuple[float, float] | None:
    """Clip an interval to the range of its statistic."""
    return None if interval is None else (bounded(interval[0], bounds), bounded(interval[1], bounds))


def bounded(value: float, bounds: Sequence[float]) -> float:
    """Clip a value to its range: rounding can carry a mean of cosines past 1, and so out of its own interval."""
    return float(min(max(value, bounds[0]), bounds[1]))
