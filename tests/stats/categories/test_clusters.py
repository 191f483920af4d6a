"""Clusters that are there are found, labels at random make none, and silhouettes are scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from moexray.errors import NotComputable
from moexray.stats.categories.clusters import category_silhouettes, centroid_distance


def scattered(centres: dict[str, tuple[float, float]], each: int = 20, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    points = [rng.normal(centre, 1, size=(each, 2)) for centre in centres.values()]
    return np.concatenate(points), [name for name in centres for _ in range(each)]


def test_mean_silhouettes_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    points, labels = rng.normal(size=(31, 2)), [*rng.choice(["a", "b", "c"], size=30), "alone"]
    expected = silhouette_samples(points, labels)
    found = category_silhouettes(points, labels, permutations=5, rng=0)
    for name, mean in found.means.items():
        assert mean == pytest.approx(np.mean([s for s, label in zip(expected, labels, strict=True) if label == name]))
    assert found.means["alone"] == 0
    assert found.least == min(found.means.values())


def test_shuffled_labelings_are_measured_as_the_first_is() -> None:
    """With two prompts in each of two categories there are three groupings, so p is 1/3 for the best of them."""
    points = np.array([[0, 0], [0, 1], [9, 0], [9, 1]], dtype=float)
    found = category_silhouettes(points, list("aabb"), permutations=6000, rng=0)
    assert found.least_p_value == pytest.approx(1 / 3, abs=0.02)


def test_planted_clusters_are_found_and_one_that_is_spread_over_another_is_not() -> None:
    points, labels = scattered({"a": (0, 0), "b": (0, 0), "c": (20, 0)})
    found = category_silhouettes(points, labels, permutations=499, rng=0)
    assert found.means["c"] > 0.8
    assert found.p_values["c"] == 1 / 500
    assert found.least < 0.1
    apart = category_silhouettes(*scattered({"a": (0, 0), "b": (0, 20), "c": (20, 0)}), permutations=499, rng=0)
    assert apart.least > 0.8
    assert apart.least_p_value == 1 / 500


def test_labels_at_random_are_rarely_significant() -> None:
    ps = []
    for seed in range(200):
        points, labels = scattered({"a": (0, 0), "b": (0, 0), "c": (0, 0)}, each=8, seed=seed)
        ps.append(category_silhouettes(points, labels, permutations=39, rng=seed).least_p_value)
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(ps) == pytest.approx(0.5, abs=0.1)


def test_neighbours_that_differ_are_near_and_apart() -> None:
    points, labels = scattered({"a": (0, 0), "b": (3, 0), "c": (20, 0), "d": (0, 30)})
    found = centroid_distance(points, labels, ("b", "a"), permutations=499, rng=0)
    assert (found.rank, found.pairs, found.p_value) == (1, 6, 1 / 500)
    assert found.distance == pytest.approx(np.linalg.norm(points[:20].mean(axis=0) - points[20:40].mean(axis=0)))
    assert centroid_distance(points, labels, ("c", "d"), permutations=9, rng=0).rank == 6


def test_the_distance_of_two_halves_of_one_cluster_is_rarely_significant() -> None:
    centres = {"a": (0.0, 0.0), "b": (0.0, 0.0), "c": (9.0, 0.0)}
    ps = [
        centroid_distance(*scattered(centres, each=6, seed=seed), ("a", "b"), permutations=39, rng=seed).p_value
        for seed in range(200)
    ]
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.06)


@pytest.mark.parametrize("labels", ["aaaa", "abcd"])
def test_silhouettes_need_two_categories_and_two_prompts_of_one(labels: str) -> None:
    with pytest.raises(NotComputable, match="two categories"):
        category_silhouettes(np.eye(4), list(labels), permutations=5, rng=0)


@pytest.mark.parametrize("labels", ["aabb", "aacd"])
def test_nearness_needs_both_categories_and_a_third(labels: str) -> None:
    with pytest.raises(NotComputable, match="a third category"):
        centroid_distance(np.eye(4), list(labels), ("a", "b"), permutations=5, rng=0)
