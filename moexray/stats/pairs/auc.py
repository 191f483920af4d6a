"""Area under the ROC curve: the probability that a pair within a category is more similar than a pair across."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import logit_interval
from moexray.stats.inference.units import Units

# Up to this many prompts every two pairs are compared; their matrix takes 72 MB.
EXACT_PROMPTS = 3000
_SAMPLED_PAIRS = 20_000
# Equal similarities differ by less, in whatever order their terms are added.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Auc:
    """The probability, its 95 % interval over units, and a bound on the sampling error.

    Attributes
    ----------
    value
        Ties count half.
    ci
        None where the value was sampled, is 0 or 1, or a category has too few units.
    error
        Bound that holds with probability 95 %; None where every comparison was made.
    """

    value: float
    ci: tuple[float, float] | None
    error: float | None


def exact_auc(directions: NDArray[np.float64], units: Units, *, kept: float = 1.0) -> Auc:
    """Compare every pair within with every pair across, in O(P² log P) time.

    Leaving out a unit removes the comparisons of its pairs within and of its pairs across; those of both are
    subtracted once.

    Parameters
    ----------
    directions
        Signatures of unit length ``(prompts, dimensions)``.
    units
        The categories and units of the prompts; there is a pair within and one across.
    kept
        The share of the jackknife variance that its interval takes: see `moexray.stats.pairs.interactions`.
    """
    gram = directions @ directions.T
    first, second = np.triu_indices(len(directions), 1)
    if units.together is not None:
        apart = units.units[first] != units.units[second]
        first, second = first[apart], second[apart]
    same = units.categories[first] == units.categories[second]
    values = gram[first, second]
    within, across = values[same], values[~same]
    below = _ranks(within, np.sort(across))
    above = len(within) - _ranks(across, np.sort(within))
    first, second = units.units[first], units.units[second]
    lost = _by_unit(below, first[same], second[same], len(units))
    lost += _by_unit(above, first[~same], second[~same], len(units))
    own = np.empty((len(units), 2), dtype=np.int64)
    for unit in range(len(units)):
        rows = np.flatnonzero(units.units == unit)
        mine = np.equal.outer(units.categories[rows], units.categories)
        theirs = units.units != unit
        inside, outside = gram[rows][mine & theirs], gram[rows][~mine & theirs]
        own[unit] = len(inside), len(outside)
        lost[unit] -= _ranks(inside, np.sort(outside)).sum()
    left = (len(within) - own[:, 0]) * (len(across) - own[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = (below.sum() - lost) / left
    value = float(below.sum() / (len(within) * len(across)))
    return Auc(value, logit_interval(value, left_out, units.strata, kept=kept), None)


@dataclass(frozen=True)
class SampledPairs:
    """Random pairs of prompts, and the prompts in them, whose signatures are all that is needed.

    Attributes
    ----------
    rows
        The prompts, ascending ``(rows,)``.
    within, across
        Places in `rows` of the two prompts of each pair ``(2, pairs)``.
    """

    rows: NDArray[np.int64]
    within: NDArray[np.int64]
    across: NDArray[np.int64]


def sample_pairs(units: Units, *, rng: int | np.random.Generator) -> SampledPairs:
    """Draw as many pairs within categories as across them, each with the same probability; none is inside a unit.

    Parameters
    ----------
    units
        The categories and units of the prompts; there is a pair within and one across.
    rng
        Seed or generator of the pairs.
    """
    generator = np.random.default_rng(rng)
    drawn = np.concatenate([_between_units(draw, units, generator) for draw in (_pairs_within, _pairs_across)], axis=0)
    rows, places = np.unique(drawn, return_inverse=True)
    within, across = places.reshape(2, 2, _SAMPLED_PAIRS)
    return SampledPairs(rows, within, across)


def auc_of_sample(units: NDArray[np.float64], pairs: SampledPairs) -> Auc:
    """Compare every sampled pair within with every sampled pair across.

    With n independent pairs of either kind, the error exceeds t with probability at most 2 exp(−2 n t²)
    (W. Hoeffding, J. Am. Stat. Assoc. 58, 1963, section 5b).

    Parameters
    ----------
    units
        Signatures of unit length of the prompts `pairs.rows` ``(rows, dimensions)``.
    pairs
        The sampled pairs.
    """
    within, across = (
        np.einsum("ij,ij->i", units[first], units[second]) for first, second in (pairs.within, pairs.across)
    )
    value = float(_ranks(within, np.sort(across)).mean() / len(across))
    return Auc(value, None, sqrt(log(2 / 0.05) / (2 * _SAMPLED_PAIRS)))


def _ranks(values: NDArray[np.float64], ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the entries of `ordered` below each value; ties, up to rounding, count half."""
    low = np.searchsorted(ordered, values - _ROUNDING, "left")
    return (low + np.searchsorted(ordered, values + _ROUNDING, "right")) / 2


def _by_unit(
    values: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64], units: int
) -> NDArray[np.float64]:
    return np.asarray(np.bincount(first, values, units) + np.bincount(second, values, units), dtype=np.float64)


def _between_units(
    draw: Callable[[NDArray[np.integer], np.random.Generator], list[NDArray[np.int64]]],
    units: Units,
    rng: np.random.Generator,
) -> NDArray[np.int64]:  # (2, pairs)
    """Draw pairs until enough are of two units."""
    found = np.stack(draw(units.categories, rng))
    if units.together is None:
        return found
    found = found[:, units.units[found[0]] != units.units[found[1]]]
    while found.shape[1] < _SAMPLED_PAIRS:
        more = np.stack(draw(units.categories, rng))
        found = np.concatenate([found, more[:, units.units[more[0]] != units.units[more[1]]]], axis=1)
    return found[:, :_SAMPLED_PAIRS]


def _pairs_within(numbers: NDArray[np.integer], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers)
    pairs = sizes * (sizes - 1.0)
    category = rng.choice(len(sizes), size=_SAMPLED_PAIRS, p=pairs / pairs.sum())
    first = rng.integers(sizes[category])
    second = rng.integers(sizes[category] - 1)
    second += second >= first
    start = (np.cumsum(sizes) - sizes)[category]
    return [order[start + first], order[start + second]]


def _pairs_across(numbers: NDArray[np.integer], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Draw a prompt with probability proportional to its partners in other categories, then a partner."""
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers)
    partners = sizes * (len(numbers) - sizes)
    category = rng.choice(len(sizes), size=_SAMPLED_PAIRS, p=partners / partners.sum())
    start = (np.cumsum(sizes) - sizes)[category]
    second = rng.integers(len(numbers) - sizes[category])
    second += np.where(second >= start, sizes[category], 0)
    return [order[start + rng.integers(sizes[category])], order[second]]
