"""Tests of what a scatter plot seems to show: whether categories are clusters, and how close two of them are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.location import location_test
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of

_MOST_NUMBERS = 2**23


@dataclass(frozen=True)
class CategorySilhouettes:
    """Mean silhouette of each category, with one-sided p-values from permuted labels.

    Attributes
    ----------
    means, p_values
        Mean silhouette of the prompts of each category, from −1 to 1.
    least, least_p_value
        The smallest of these means: if it is above zero, every category is a cluster.
    permutations
        Number of permutations.
    """

    means: Mapping[str, float]
    p_values: Mapping[str, float]
    least: float
    least_p_value: float
    permutations: int


def category_silhouettes(
    coordinates: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    permutations: int,
    rng: int | np.random.Generator,
) -> CategorySilhouettes:
    """Average the silhouettes of each category's prompts, and compare with those under permuted labels.

    The silhouette of a prompt is ``(b - a) / max(a, b)``, with a its mean distance to the prompts of its category in
    other units, and b that to the prompts of other units in the nearest other category; it is 0 where there are none
    of either (P. Rousseeuw, J. Comput. Appl. Math. 20, 1987). A tight category is closer to itself than a loose one, so
    p does not say that categories lie in different places: see `centroid_distance` for that.

    Parameters
    ----------
    coordinates
        Position of each prompt ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    groups
        The group of each prompt: see `moexray.stats.inference.units.units_of`.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there is one category only, or no two prompts of different units share one.
    """
    units = units_of(labels, groups)
    names = units.names
    if not (units.pairs_within and units.pairs_across):
        of = "" if units.design == "independent" else " of different groups"
        message = f"silhouettes need two categories, one of them with two prompts{of}"
        raise NotComputable(message)
    means = _mean_silhouettes(coordinates, units, units.labelings(permutations, rng, first=True))
    least = means.min(axis=1)
    return CategorySilhouettes(
        means=dict(zip(names, means[0].tolist(), strict=True)),
        p_values={name: p_value(float(means[0, c]), means[1:, c]) for c, name in enumerate(names)},
        least=float(least[0]),
        least_p_value=p_value(float(least[0]), least[1:]),
        permutations=permutations,
    )


@dataclass(frozen=True)
class CentroidDistance:
    """Distance between the means of two categories.

    Attributes
    ----------
    distance
        Between the two means.
    rank, pairs
        Rank of the distance among those of all pairs of categories, 1 for the closest, and the number of pairs.
    p_value
        One-sided, of the studentised distance, with labels permuted within the two categories: small where their means
        differ.
    permutations
        Number of permutations.
    """

    distance: float
    rank: int
    pairs: int
    p_value: float
    permutations: int


def centroid_distance(
    coordinates: NDArray[np.float64],
    labels: Sequence[str],
    pair: tuple[str, str],
    *,
    groups: Sequence[str] | None = None,
    permutations: int,
    rng: int | np.random.Generator,
) -> CentroidDistance:
    """Measure the distance between the means of two categories, rank it, and test whether the means differ.

    p is that of `moexray.stats.location_test` in these coordinates: of the squared distance over its jackknife error
    over units, so that neither groups nor unlike spread or size of the two make a difference of means. The rank has no
    p-value: with four categories, any given pair is among the closest two of six with probability 1/3.

    Parameters
    ----------
    coordinates
        Position of each prompt ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    pair
        The two categories.
    groups
        The group of each prompt: see `moexray.stats.inference.units.units_of`.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there are fewer than three categories, one of the two is not present or has fewer than three units, or all
        of their coordinates are equal.
    """
    names = sorted(set(labels))
    if len(names) < 3 or not set(pair) <= set(names):
        message = f"the distance of {' and '.join(pair)} needs prompts of both, and of a third category"
        raise NotComputable(message)
    held = np.asarray(labels, dtype=object)
    means = {name: coordinates[held == name].mean(axis=0) for name in names}
    distances = [float(np.linalg.norm(means[a] - means[b])) for a, b in combinations(names, 2)]
    distance = float(np.linalg.norm(means[pair[0]] - means[pair[1]]))
    inside = np.flatnonzero(np.isin(held, pair))
    # A row of zeros would stand for a prompt without a signature; the test is the same wherever the origin is.
    shifted = coordinates[inside] - coordinates.min(axis=0) + 1
    test = location_test(
        shifted[:, None],
        held[inside].tolist(),
        groups=None if groups is None else [groups[row] for row in inside.tolist()],
        permutations=permutations,
        rng=rng,
    )
    return CentroidDistance(
        distance=distance,
        rank=1 + sum(other < distance for other in distances),
        pairs=len(distances),
        p_value=test.p_value,
        permutations=permutations,
    )


def silhouette(
    coordinates: NDArray[np.float64], labels: Sequence[str], groups: Sequence[str] | None = None
) -> float | None:
    """Return the mean silhouette of all prompts; None where no two of different units share a category, or differ."""
    units = units_of(labels, groups)
    if not (units.pairs_within and units.pairs_across):
        return None
    means = _mean_silhouettes(coordinates, units, [units.part_categories.astype(np.int32)[None]])[0]
    return float(means @ np.bincount(units.categories) / len(labels))


def _mean_silhouettes(
    coordinates: NDArray[np.float64], units: Units, labelings: Iterable[NDArray[np.int32]]
) -> NDArray[np.float64]:  # (labelings, categories)
    from scipy.spatial.distance import cdist

    apart = (units.units[:, None] != units.units).astype(np.float64)
    distances, categories = cdist(coordinates, coordinates) * apart, len(units.names)
    rows = max(1, _MOST_NUMBERS // (len(coordinates) * categories))
    parts = (block[start : start + rows] for block in labelings for start in range(0, len(block), rows))
    return np.concatenate([_of_labelings(distances, apart, part[:, units.parts], categories) for part in parts])


def _of_labelings(
    distances: NDArray[np.float64], apart: NDArray[np.float64], numbers: NDArray[np.int32], categories: int
) -> NDArray[np.float64]:  # (labelings, categories)
    """Sum each prompt's distances to every category, for all labelings in one product, and average silhouettes."""
    marks = numbers[..., None] == np.arange(categories)  # (labelings, prompts, categories)
    flat = marks.transpose(1, 0, 2).reshape(len(distances), -1).astype(np.float64)
    shape = len(distances), len(numbers), categories
    sums, sizes = ((matrix @ flat).reshape(shape).transpose(1, 0, 2) for matrix in (distances, apart))
    means = np.divide(sums, sizes, out=np.full_like(sums, np.inf), where=sizes > 0)
    own, nearest = means[marks].reshape(numbers.shape), np.where(marks, np.inf, means).min(axis=2)
    known = np.isfinite(own) & np.isfinite(nearest)
    own, nearest = np.where(known, own, 0), np.where(known, nearest, 0)
    greater = np.maximum(own, nearest)
    silhouettes = np.divide(nearest - own, greater, out=np.zeros_like(own), where=greater > 0)
    return np.asarray(np.einsum("bp,bpc->bc", silhouettes, marks.astype(np.float64)) / marks.sum(axis=1))
