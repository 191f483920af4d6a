"""How certain it is what a scatter plot shows: intervals of mean silhouettes, and of which centroids are closest.

The positions of the prompts are taken as given: that other prompts would turn the plane is not part of the error.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import LEAST_UNITS, jackknife_interval
from moexray.stats.inference.units import Units, units_of

_DRAWS = 4000


def silhouette_intervals(
    coordinates: NDArray[np.float64], labels: Sequence[str], *, groups: Sequence[str] | None = None
) -> Mapping[str, tuple[float, float] | None]:
    """Return the 95 % jackknife interval of each category's mean silhouette, within [−1, 1].

    Each unit is left out in turn, as a member and as a neighbour of the others. Prompts of one unit are no neighbours:
    see `moexray.stats.categories.clusters.category_silhouettes`.

    Parameters
    ----------
    coordinates
        Position of each prompt ``(prompts, dimensions)``.
    labels, groups
        Category and group of each prompt; see `moexray.stats.inference.units`.

    Returns
    -------
    For each category the interval; None where it has too few units.
    """
    from scipy.spatial.distance import cdist

    units = units_of(labels, groups)
    marks = (units.categories[:, None] == np.arange(len(units.names))).astype(np.float64)
    apart = (units.units[:, None] != units.units).astype(np.float64)
    distances = cdist(coordinates, coordinates) * apart
    sums, numbers = distances @ marks, apart @ marks
    means = _mean_silhouettes(sums, numbers, marks)
    order = np.argsort(units.units, kind="stable")
    left = []
    for unit in np.split(order, np.flatnonzero(np.diff(units.units[order])) + 1):
        kept = np.ones(len(marks), dtype=bool)
        kept[unit] = False
        other_sums, other_numbers = sums - distances[:, unit] @ marks[unit], numbers - apart[:, unit] @ marks[unit]
        left.append(_mean_silhouettes(other_sums[kept], other_numbers[kept], marks[kept]))
    left_out = np.stack(left)  # (units, categories)
    found = {}
    for c, name in enumerate(units.names):
        few = units.units_of_category[c] < LEAST_UNITS
        ends = None if few else jackknife_interval(float(means[c]), left_out[:, c], units.strata)
        found[name] = None if ends is None else (max(-1.0, ends[0]), min(1.0, ends[1]))
    return found


def _mean_silhouettes(
    sums: NDArray[np.float64], numbers: NDArray[np.float64], marks: NDArray[np.float64]
) -> NDArray[np.float64]:  # (categories,), not finite where a category is empty
    """Average silhouettes over each category.

    Parameters
    ----------
    sums, numbers
        Each prompt's sum of distances to the prompts of other units in every category, and their number.
    marks
        1 where a prompt is of a category.
    """
    own_numbers = (numbers * marks).sum(axis=1)
    own = (sums * marks).sum(axis=1) / np.maximum(own_numbers, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.where((marks > 0) | (numbers == 0), np.inf, sums / numbers).min(axis=1)
        greater = np.maximum(own, nearest)
        known = (greater > 0) & (own_numbers > 0) & np.isfinite(nearest)
        values = np.where(known, (nearest - own) / greater, 0.0)
        return np.asarray((values @ marks) / marks.sum(axis=0))


def closeness_of_pair(
    coordinates: NDArray[np.float64],
    labels: Sequence[str],
    pair: tuple[str, str],
    *,
    closest: int,
    groups: Sequence[str] | None = None,
    rng: int | np.random.Generator,
) -> float:
    """Return how certain it is that the centroids of two categories are among the closest of all pairs.

    The centroids of new samples of units are drawn from Student's distribution around the observed ones, with their
    jackknife covariance and the degrees of freedom of the smallest category; the share of draws in which the pair is
    among the closest is returned. Near 0 or 1 it is certain, in between it is open.

    Parameters
    ----------
    coordinates
        Position of each prompt ``(prompts, dimensions)``.
    labels, groups
        Category and group of each prompt.
    pair
        The two categories.
    closest
        How many pairs count as the closest.
    rng
        Seed or generator of the draws.

    Raises
    ------
    NotComputable
        If there are fewer than three categories, one of the two is missing, or a category has one unit only.
    """
    units = units_of(labels, groups)
    if len(units.names) < 3 or not set(pair) <= set(units.names):
        message = f"whether {' and '.join(pair)} are close needs prompts of both, and of a third category"
        raise NotComputable(message)
    freedom = min(int(units.units_of_category.min()), *np.bincount(units.strata)[np.unique(units.strata)]) - 1
    if freedom < 1:
        message = "a category has one unit only, so nothing tells how far its centroid may move"
        raise NotComputable(message)
    centroids, covariance = _centroids(coordinates, units)
    generator = np.random.default_rng(rng)
    moved = generator.multivariate_normal(np.zeros(len(covariance)), covariance, _DRAWS, method="eigh")
    moved *= np.sqrt(freedom / generator.chisquare(freedom, _DRAWS))[:, None]
    drawn = centroids + moved.reshape(_DRAWS, *centroids.shape)
    pairs = list(combinations(range(len(units.names)), 2))
    first, second = (list(side) for side in zip(*pairs, strict=True))
    distances = np.linalg.norm(drawn[:, first] - drawn[:, second], axis=2)  # (draws, pairs)
    here = distances[:, pairs.index(tuple(sorted(units.names.index(name) for name in pair)))]  # type: ignore[arg-type]
    return float(np.mean((distances < here[:, None]).sum(axis=1) < closest))


def _centroids(
    coordinates: NDArray[np.float64], units: Units
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (categories, dimensions), and the covariance of its numbers
    categories, dimensions = len(units.names), coordinates.shape[1]
    sums, sizes = np.zeros((len(units), categories, dimensions)), np.zeros((len(units), categories))
    np.add.at(sums, (units.units, units.categories), coordinates)
    np.add.at(sizes, (units.units, units.categories), 1)
    total, number = sums.sum(axis=0), sizes.sum(axis=0)
    if (number == sizes).any():
        message = "one unit holds every prompt of a category, so nothing tells how far its centroid may move"
        raise NotComputable(message)
    left_out = (total - sums) / (number - sizes)[..., None]
    covariance = np.zeros((categories * dimensions,) * 2)
    for stratum in np.unique(units.strata):
        members = left_out[units.strata == stratum].reshape(-1, categories * dimensions)
        pulls = members - members.mean(axis=0)
        covariance += (len(members) - 1) / len(members) * pulls.T @ pulls
    return total / number[:, None], covariance
