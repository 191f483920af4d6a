"""Whether categories are clusters, and how near two of them are: criteria for what a scatter plot seems to show."""

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
    """How well each category keeps to itself. p-values are one-sided, of labels shuffled over prompts.

    Attributes
    ----------
    means, p_values
        Mean silhouette of the prompts of each category, from −1 to 1.
    least, least_p_value
        The smallest of these means: above zero, every category is a cluster.
    permutations
        Shuffles behind each p.
    """

    means: Mapping[str, float]
    p_values: Mapping[str, float]
    least: float
    least_p_value: float
    permutations: int


def category_silhouettes(
    coordinates: NDArray[np.float64], labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> CategorySilhouettes:
    """Average the silhouettes of each category's prompts, and compare with those of shuffled labels.

    With a the mean distance of a prompt to the others of its category, and b to those of the nearest other
    category, its silhouette is ``(b - a) / max(a, b)``, and 0 where it is alone in its category
    (P. Rousseeuw, J. Comput. Appl. Math. 20, 1987).

    Parameters
    ----------
    coordinates
        Where each prompt lies ``(prompts, dimensions)``.
    labels
        The category of each.
    permutations
        Number of shuffles.
    rng
        Seed or generator of the shuffles.

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
    """How far apart the means of two categories lie.

    Attributes
    ----------
    distance
        Between the two means.
    rank, pairs
        Its place among the distances of all pairs of categories, 1 for the closest, and their number.
    p_value
        One-sided, of labels shuffled within the two: small where they are not one cluster.
    permutations
        Shuffles behind it.
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
    """Measure the distance between the means of two categories, rank it, and test whether they differ.

    The rank has no p-value: with four categories any pair is among the closest two of six in one case of three.

    Raises
    ------
    NotComputable
        If there are fewer than three categories, or one of the two is not there.
    """
    names = sorted(set(labels))
    if len(names) < 3 or not set(pair) <= set(names):
        message = f"how near {' and '.join(pair)} are needs prompts of both, and of a third category"
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
    """One product of the distances with the marks of all labelings gives every prompt's distance to each category."""
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
