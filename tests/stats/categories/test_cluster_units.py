"""Clusters of prompts that share templates or contents, and of categories that differ in spread alone."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from moexray.errors import NotComputable
from moexray.stats.categories.clusters import category_silhouettes, centroid_distance
from moexray.stats.categories.pca import principal_components

from ..recipes import EQUAL_MEANS, SimulatedStudy, crossed_contents, equal_means, nested_templates
from ..simulations import assert_level, assert_power, assert_share, simulated

Measured = Callable[[SimulatedStudy, int], float]


def plane(study: SimulatedStudy) -> np.ndarray:
    return principal_components(study.vectors, study.labels, groups=study.groups).coordinates


def p_of_centroids(study: SimulatedStudy, seed: int) -> float:
    """Of the first two categories; a third, of one prompt, is far away."""
    points = np.vstack([plane(study), [[9.0, 9.0]]])
    groups = None if study.groups is None else [*study.groups, ""]
    labels = [*study.labels, "other"]
    pair = ("kind 0", "kind 1")
    return centroid_distance(points, labels, pair, groups=groups, permutations=199, rng=seed).p_value


def p_of_silhouettes(study: SimulatedStudy, seed: int) -> float:
    found = category_silhouettes(plane(study), study.labels, groups=study.groups, permutations=199, rng=seed)
    return found.least_p_value


@pytest.mark.slow
@simulated(30, nightly=400)
@pytest.mark.parametrize("template", [0.15, 0.3])
@pytest.mark.parametrize("p_of", [p_of_centroids, p_of_silhouettes])
def test_templates_that_differ_do_not_make_categories_differ(p_of: Measured, template: float, seeds: range) -> None:
    studies = [(seed, np.random.default_rng([31, seed])) for seed in seeds]
    assert_level([p_of(nested_templates(rng, template, templates=6, prompts=3), seed) for seed, rng in studies])


@pytest.mark.slow
@simulated(30, nightly=400)
@pytest.mark.parametrize("p_of", [p_of_centroids, p_of_silhouettes])
def test_contents_that_differ_do_not_make_categories_differ(p_of: Measured, seeds: range) -> None:
    studies = [(seed, np.random.default_rng([32, seed])) for seed in seeds]
    assert_level([p_of(crossed_contents(rng, 0.8, 0), seed) for seed, rng in studies])


@simulated(10, nightly=60)
def test_categories_that_differ_whatever_their_contents_have_different_centroids(seeds: range) -> None:
    studies = [(seed, np.random.default_rng([33, seed])) for seed in seeds]
    assert_power([p_of_centroids(crossed_contents(rng, 0.2, 0.4), seed) for seed, rng in studies])


@simulated(60, nightly=800)
@pytest.mark.parametrize("sizes", [(20, 20), (10, 60), (60, 10)])
def test_categories_that_differ_in_spread_have_one_centroid(sizes: tuple[int, int], seeds: range) -> None:
    """In a plane that is given: the first category is three times as wide."""
    p = []
    for seed in seeds:
        spread = np.repeat([3.0, 1.0, 1.0], [*sizes, 1])[:, None]
        points = spread * np.random.default_rng([34, seed]).normal(size=(len(spread), 2))
        labels = np.repeat(list("abc"), [*sizes, 1]).tolist()
        p.append(centroid_distance(points, labels, ("a", "b"), permutations=99, rng=seed).p_value)
    assert_level(p)


@pytest.mark.slow
@simulated(25, nightly=300)
@pytest.mark.parametrize("row", ["10 loose, 60 tight", "60 loose, 10 tight", "10 short, 60 long"])
def test_nor_in_the_plane_of_components_which_follow_the_loose_prompts(row: str, seeds: range) -> None:
    """There p errs on the safe side: the components turn towards single prompts of the loose category."""
    studies = [(seed, np.random.default_rng([35, seed])) for seed in seeds]
    p = [p_of_centroids(equal_means(rng, EQUAL_MEANS[row]), seed) for seed, rng in studies]
    assert_share(np.array(p) <= 0.05, 0.0, 0.07)


@pytest.mark.parametrize("design", [lambda i: f"t{i // 4}", lambda i: f"c{i % 8}", lambda i: "" if i % 3 else "g"])
def test_silhouettes_are_of_prompts_of_other_units_in_an_explicit_loop(design: Callable[[int], str]) -> None:
    points = np.random.default_rng(35).normal(size=(24, 2))
    labels, groups = ["abc"[i // 8] for i in range(24)], [design(i) for i in range(24)]
    units = [group or str(i) for i, group in enumerate(groups)]
    distances, found = cdist(points, points), category_silhouettes(points, labels, groups=groups, permutations=9, rng=0)
    every = []
    for i in range(24):
        means = {
            name: [distances[i, j] for j in range(24) if labels[j] == name and units[j] != units[i]] for name in "abc"
        }
        own, others = means.pop(labels[i]), [np.mean(of) for of in means.values() if of]
        a, b = np.mean(own) if own else np.nan, min(others)
        every.append((b - a) / max(a, b) if own else 0)
    for name, mean in found.means.items():
        assert mean == pytest.approx(np.mean([one for one, label in zip(every, labels, strict=True) if label == name]))
    components = principal_components(points, labels, groups=groups)
    assert components.silhouette == pytest.approx(np.mean(every))


def test_categories_of_one_template_each_are_no_clusters() -> None:
    with pytest.raises(NotComputable, match="two prompts of different groups"):
        category_silhouettes(np.eye(6), list("aaabbb"), groups=list("sssttt"), permutations=5, rng=0)
    with pytest.raises(NotComputable, match="3 are needed"):
        centroid_distance(np.eye(7), list("aaabbbc"), ("a", "b"), groups=list("sssttuv"), permutations=5, rng=0)


def test_prompts_at_one_place_have_no_centroids_to_be_told_apart() -> None:
    points = np.zeros((9, 2))
    points[8] = 1
    with pytest.raises(NotComputable, match="equal"):
        centroid_distance(points, list("aaaabbbbc"), ("a", "b"), permutations=5, rng=0)
