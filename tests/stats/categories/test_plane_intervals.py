"""How certain a scatter plot is: the error of mean silhouettes, and of which centroids are closest."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from moexray.errors import NotComputable
from moexray.stats.categories.plane_intervals import closeness_of_pair, silhouette_intervals
from moexray.stats.inference.jackknife import jackknife_interval

from ..simulations import assert_share, simulated

SQUARE = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])


def plane(rng: np.random.Generator, centres: np.ndarray, number: int) -> tuple[np.ndarray, list[str]]:
    labels = np.repeat(np.arange(len(centres)), number)
    return centres[labels] + rng.normal(size=(len(labels), 2)), [f"kind {c}" for c in labels]


def test_the_interval_is_the_jackknife_of_silhouettes_computed_anew() -> None:
    coordinates, labels = plane(np.random.default_rng(0), 2 * SQUARE[:3], 6)
    names = np.array(labels)
    found = silhouette_intervals(coordinates, labels)
    strata = np.unique(names, return_inverse=True)[1]
    for name in sorted(set(labels)):

        def mean(rows: np.ndarray, name: str = name) -> float:
            return float(silhouette_samples(coordinates[rows], names[rows])[names[rows] == name].mean())

        every = np.arange(len(names))
        left_out = np.array([mean(np.delete(every, p)) for p in every])
        assert found[name] == pytest.approx(jackknife_interval(mean(every), left_out, strata))


def test_a_group_is_left_out_as_a_whole() -> None:
    """Copies of each prompt in one group add nothing: the interval stays as wide."""
    coordinates, labels = plane(np.random.default_rng(1), 3 * SQUARE[:3], 12)
    twice = np.repeat(coordinates + 0, 2, axis=0) + 1e-9 * np.random.default_rng(2).normal(size=(72, 2))
    names = [name for name in labels for _ in range(2)]
    groups = [str(p // 2) for p in range(72)]
    one, grouped = silhouette_intervals(coordinates, labels), silhouette_intervals(twice, names, groups=groups)
    alone = silhouette_intervals(twice, names)
    for name in one:
        wide, same, narrow = (float(np.ptp(found[name] or (0, 0))) for found in (one, grouped, alone))
        assert same == pytest.approx(wide, rel=0.1)
        assert narrow < 0.8 * wide


def test_two_prompts_have_no_interval() -> None:
    coordinates, labels = plane(np.random.default_rng(0), SQUARE, 2)
    assert set(silhouette_intervals(coordinates, labels).values()) == {None}


@pytest.mark.slow
@simulated(100, nightly=3000)
def test_the_interval_of_a_mean_silhouette_covers_its_mean_over_studies(seeds: range) -> None:
    found = []
    for seed in seeds:
        coordinates, labels = plane(np.random.default_rng(seed), 2.5 * SQUARE, 20)
        ends = silhouette_intervals(coordinates, labels)["kind 0"]
        assert ends is not None
        values = silhouette_samples(coordinates, labels)[:20]
        found.append((float(values.mean()), *ends))
    means, low, high = np.array(found).T
    assert_share((low <= means.mean()) & (means.mean() <= high), 0.92, 0.98)


def certainty(seed: int, centres: np.ndarray, number: int) -> float:
    coordinates, labels = plane(np.random.default_rng(seed), centres, number)
    return closeness_of_pair(coordinates, labels, ("kind 0", "kind 1"), closest=2, rng=seed)


@pytest.mark.parametrize("number", [5, 20])
@simulated(150, nightly=1500)
def test_pairs_that_are_equally_far_are_rarely_called_the_closest(seeds: range, number: int) -> None:
    """The rank alone says so in one of three studies."""
    centres = 3 * np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    found = []
    for seed in seeds:
        coordinates, labels = plane(np.random.default_rng(seed), centres, number)
        found.append(closeness_of_pair(coordinates, labels, ("kind 0", "kind 1"), closest=1, rng=seed))
    assert_share(np.array(found) >= 0.95, 0, 0.05)
    assert_share(np.array(found) < 0.05, 0, 0.12)


def test_a_pair_far_closer_than_all_others_is_certain_and_one_far_apart_is_out() -> None:
    near = np.array([[0.0, 0], [2, 0], [20, 0], [0, 20]])
    assert certainty(0, near, 10) > 0.99
    assert certainty(0, near[[0, 2, 1, 3]], 10) < 0.01


def test_copies_in_a_group_give_no_certainty() -> None:
    coordinates, labels = plane(np.random.default_rng(5), 1.5 * SQUARE[:3], 6)
    many, names = np.repeat(coordinates, 30, axis=0), [name for name in labels for _ in range(30)]
    groups = [str(p // 30) for p in range(len(names))]
    pair = ("kind 0", "kind 2")
    one = closeness_of_pair(coordinates, labels, pair, closest=1, rng=0)
    assert closeness_of_pair(many, names, pair, closest=1, groups=groups, rng=0) == pytest.approx(one, abs=0.03)


@pytest.mark.parametrize(
    ("labels", "groups", "problem"),
    [
        (["kind 0", "kind 0", "kind 1", "kind 1"], None, "third category"),
        (["kind 0", "kind 0", "kind 2", "kind 3"], None, "third category"),
        (["kind 0", "kind 0", "kind 1", "kind 2"], None, "one unit only"),
        (["kind 0", "kind 1", "kind 2", "kind 0"], ["a", "a", "a", "b"], "one unit"),
    ],
)
def test_what_cannot_be_told_is_refused(labels: list[str], groups: list[str] | None, problem: str) -> None:
    with pytest.raises(NotComputable, match=problem):
        closeness_of_pair(np.eye(4)[:, :2], labels, ("kind 0", "kind 1"), closest=1, groups=groups, rng=0)
