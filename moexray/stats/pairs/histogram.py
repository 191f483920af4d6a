"""Histograms of the similarity of pairs of prompts, in bins of round numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units

# Similarities are counted in steps of 1e-5 from −1 to 1, and whole numbers of steps make a bin.
_STEPS = 100_000
# Equal similarities differ by less, in whatever order their terms are added.
_ROUNDING = 1e-11
_LEAST_BINS, _MOST_BINS = 8, 60
# Bins are so many steps wide.
_WIDTHS = np.array([digit * 10**power for power in range(6) for digit in (1, 2, 5)])
_MOST_PRODUCTS = 2**22


@dataclass(frozen=True)
class PairHistogram:
    """Numbers of pairs by their similarity, in bins of one width: at most twice the cube root of pairs, and 8 to 60.

    Attributes
    ----------
    start, width
        The lower end of the first bin, and the width of each: 1, 2 or 5 times a power of ten, 0.00001 or more. Every
        bin begins at a multiple of it.
    pairs
        Pairs in each bin; the first and the last have some. A similarity at an end belongs to the bin above it, and 1
        to the last.
    """

    start: float
    width: float
    pairs: tuple[int, ...]


@dataclass(frozen=True)
class PairHistograms:
    """Pairs of prompts of different units within and across categories, in bins of one width; None without pairs."""

    within: PairHistogram | None
    across: PairHistogram | None


def histogram_of(similarities: NDArray[np.float64]) -> PairHistogram:
    """Count similarities, of which there is at least one, in bins.

    Examples
    --------
    >>> import numpy as np
    >>> histogram_of(np.array([0.51, 0.52, 0.549, 0.6]))
    PairHistogram(start=0.5, width=0.02, pairs=(1, 1, 1, 0, 0, 1))
    """
    steps = _counted(similarities)
    return _binned(steps, _width(steps))


def pair_similarities(directions: NDArray[np.float64], units: Units) -> NDArray[np.float64]:  # (pairs,)
    """Return the cosine similarity of every pair of prompts of different units; see `pair_histograms`."""
    first, second = np.triu_indices(len(directions), 1)
    values = (directions @ directions.T)[first, second]
    return values if units.together is None else values[units.units[first] != units.units[second]]


def pair_histograms(directions: NDArray[np.float64], units: Units) -> PairHistograms:
    """Count the cosine similarities of all pairs of prompts of different units, in O(P²·D) time and O(P) memory.

    Parameters
    ----------
    directions
        Signatures of unit length ``(prompts, dimensions)``.
    units
        The categories and the units of the prompts.
    """
    prompts = len(directions)
    both = np.zeros((2, 2 * _STEPS), dtype=np.int64)
    rows = max(1, _MOST_PRODUCTS // max(prompts, 1))
    for start in range(0, prompts, rows):
        some = slice(start, min(start + rows, prompts))
        products = directions[some] @ directions[start:].T
        first, second = np.triu_indices(some.stop - start, 1, prompts - start)
        apart = units.units[start + first] != units.units[start + second]
        first, second = first[apart], second[apart]
        same = units.categories[start + first] == units.categories[start + second]
        values = products[first, second]
        both += [_counted(values[same]), _counted(values[~same])]
    if not both.any():
        return PairHistograms(None, None)
    width = _width(both.sum(axis=0))
    within, across = (_binned(one, width) if one.any() else None for one in both)
    return PairHistograms(within, across)


def _counted(values: NDArray[np.float64]) -> NDArray[np.int64]:  # (2 * _STEPS,)
    steps = np.floor((values + _ROUNDING) * _STEPS).astype(np.int64) + _STEPS
    return np.bincount(steps.clip(0, 2 * _STEPS - 1), minlength=2 * _STEPS)


def _width(steps: NDArray[np.int64]) -> int:
    """Return the least width, in steps, that puts everything into as many bins as there may be (Rice's rule)."""
    most = int(np.clip(2 * np.cbrt(steps.sum()), _LEAST_BINS, _MOST_BINS))
    low, high = (np.flatnonzero(steps)[[0, -1]] - _STEPS).tolist()
    return int(next(width for width in _WIDTHS if high // width - low // width < most))


def _binned(steps: NDArray[np.int64], width: int) -> PairHistogram:
    there = np.flatnonzero(steps)
    bins = (there - _STEPS) // width
    pairs = np.bincount(bins - bins[0], weights=steps[there])
    return PairHistogram(int(bins[0]) * width / _STEPS, width / _STEPS, tuple(int(one) for one in pairs))
