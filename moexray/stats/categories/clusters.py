"""Tests of what a scatter plot seems to show: whether categories are clusters, and how close two of them are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.permutation import p_value, shuffled_labels

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
    coordinates: NDArray[np.float64], labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> CategorySilhouettes:
    """Average the silhouettes of each category's prompts, and compare with those under permuted labels.

    The silhouette of a prompt is ``(b - a) / max(a, b)``, with a its mean distance to the other prompts of its
    category, and b that to the prompts of the nearest other category; it is 0 for a prompt alone in its category
    (P. Rousseeuw, J. Comput. Appl. Math. 20, 1987).

    Parameters
    ----------
    coordinates
        Position of each prompt ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there is one category only, or no two prompts share one.
    """
    names = sorted(set(labels))
    if not 2 <= len(names) < len(labels):
        message = "silhouettes need two categories, one of them with two prompts"
        raise NotComputable(message)
    blocks = chain([category_numbers(labels)[None]], shuffled_labels(labels, permutations=permutations, rng=rng))
    means = _mean_silhouettes(coordinates, blocks, len(names))
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
        One-sided, with labels permuted within the two categories: small where they are not one cluster.
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
    permutations: int,
    rng: int | np.random.Generator,
) -> CentroidDistance:
    """Measure the distance between the means of two categories, rank it, and test whether the means differ.

    The rank has no p-value: with four categories, any given pair is among the closest two of six with probability 1/3.

    Parameters
    ----------
    coordinates
        Position of each prompt ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    pair
        The two categories.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there are fewer than three categories, or one of the two is not present.
    """
    names = sorted(set(labels))
    if len(names) < 3 or not set(pair) <= set(names):
        message = f"the distance of {' and '.join(pair)} needs prompts of both, and of a third category"
        raise NotComputable(message)
    held = np.asarray(labels, dtype=object)
    means = {name: coordinates[held == name].mean(axis=0) for name in names}
    distances = [float(np.linalg.norm(means[a] - means[b])) for a, b in combinations(names, 2)]
    distance = float(np.linalg.norm(means[pair[0]] - means[pair[1]]))
    inside = np.isin(held, pair)
    return CentroidDistance(
        distance=distance,
        rank=1 + sum(other < distance for other in distances),
        pairs=len(distances),
        p_value=p_value(distance, _shuffled_distances(coordinates[inside], held[inside].tolist(), permutations, rng)),
        permutations=permutations,
    )


def _shuffled_distances(
    coordinates: NDArray[np.float64], labels: Sequence[str], permutations: int, rng: int | np.random.Generator
) -> NDArray[np.float64]:  # (permutations,)
    found = []
    for numbers in shuffled_labels(labels, permutations=permutations, rng=rng):
        first = (numbers == 0).astype(np.float64)
        first, second = first / first.sum(axis=1, keepdims=True), (1 - first) / (1 - first).sum(axis=1, keepdims=True)
        found.append(np.linalg.norm((first - second) @ coordinates, axis=1))
    return np.concatenate(found)


def _mean_silhouettes(
    coordinates: NDArray[np.float64], labelings: Iterable[NDArray[np.int32]], categories: int
) -> NDArray[np.float64]:  # (labelings, categories)
    from scipy.spatial.distance import cdist

    distances = cdist(coordinates, coordinates)
    rows = max(1, _MOST_NUMBERS // (len(coordinates) * categories))
    parts = (block[start : start + rows] for block in labelings for start in range(0, len(block), rows))
    return np.concatenate([_of_labelings(distances, part, categories) for part in parts])


def _of_labelings(
    distances: NDArray[np.float64], numbers: NDArray[np.int32], categories: int
) -> NDArray[np.float64]:  # (labelings, categories)
    """Sum each prompt's distances to every category, for all labelings in one product, and average silhouettes."""
    marks = numbers[..., None] == np.arange(categories)  # (labelings, prompts, categories)
    flat = marks.transpose(1, 0, 2).reshape(len(distances), -1).astype(np.float64)
    sums = (distances @ flat).reshape(len(distances), len(numbers), categories).transpose(1, 0, 2)
    sizes = marks.sum(axis=1, keepdims=True)  # (labelings, 1, categories)
    own_sizes = (marks * sizes).sum(axis=2)
    own = (sums * marks).sum(axis=2) / np.maximum(own_sizes - 1, 1)
    nearest = np.where(marks, np.inf, sums / sizes).min(axis=2)
    greater = np.maximum(own, nearest)
    silhouettes = np.divide(nearest - own, greater, out=np.zeros_like(own), where=(greater > 0) & (own_sizes > 1))
    return np.asarray(np.einsum("bp,bpc->bc", silhouettes, marks.astype(np.float64)) / sizes[:, 0])
