"""Jackknife intervals come from the statistic without each prompt, and cover the truth as often as they should."""

from dataclasses import dataclass

import numpy as np
import pytest

from moexray.stats.inference.intervals import clipped
from moexray.stats.inference.jackknife import jackknife_interval, logit_interval, mean_interval
from moexray.stats.inference.units import units_of
from moexray.stats.pairs.similarity import Similarity, category_effect, similarity, unit_rows

from ..simulations import assert_share, simulated

CATEGORIES = 4


@dataclass(frozen=True)
class Population:
    """Prompts of four categories scatter about their own centre, some categories more than others."""

    strength: float

    def sample(self, each: int, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        centres = np.random.default_rng(5).random((CATEGORIES, 24))
        numbers = np.repeat(np.arange(CATEGORIES), each)
        scatter = np.array([0.6, 0.8, 1.0, 1.2])[numbers, None]
        vectors = 1 + self.strength * centres[numbers] + scatter * rng.random((len(numbers), 24))
        return vectors, [f"c{n}" for n in numbers]


def values(found: Similarity) -> dict[str, tuple[float, tuple[float, float]]]:
    assert found.auc is not None
    pairs = {"within": found.within, "across": found.across, **found.by_category}
    return {
        "d": (found.cohens_d, found.cohens_d_ci),
        "auc": (found.auc.value, found.auc.ci),
        **{name: (summary.mean, summary.ci) for name, summary in pairs.items()},
    }


def test_each_left_out_effect_size_is_that_of_the_others() -> None:
    vectors, labels = Population(0.5).sample(6, np.random.default_rng(1))
    expected = [similarity(np.delete(vectors, p, axis=0), labels[:p] + labels[p + 1 :]).cohens_d for p in range(24)]
    np.testing.assert_allclose(category_effect(vectors, labels).without_each, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["within", "across", "auc", "c2"])
def test_every_interval_comes_from_the_statistic_of_all_prompts_but_one(name: str) -> None:
    vectors, labels = Population(0.5).sample(6, np.random.default_rng(1))
    value, interval = values(similarity(vectors, labels))[name]
    numbers = np.repeat(np.arange(CATEGORIES), 6)
    left_out = np.array(
        [values(similarity(np.delete(vectors, p, axis=0), labels[:p] + labels[p + 1 :]))[name][0] for p in range(24)]
    )
    interval_of = logit_interval if name == "auc" else jackknife_interval
    members = numbers == 2 if name == "c2" else np.ones(24, dtype=bool)
    assert interval == pytest.approx(interval_of(value, left_out[members], numbers[members]))


def test_the_interval_of_a_mean_is_students() -> None:
    """Of one sample's mean the jackknife variance is s²/n exactly."""
    values = np.random.default_rng(2).normal(size=12)
    left_out = (values.sum() - values) / 11
    low, high = jackknife_interval(values.mean(), left_out, np.zeros(12, dtype=int))
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(2.200985160082949 * values.std(ddof=1) / np.sqrt(12))


def test_without_a_second_prompt_there_is_no_interval() -> None:
    vectors, labels = Population(0.5).sample(2, np.random.default_rng(0))
    assert similarity(vectors[1:], labels[1:]).cohens_d_ci is None


def coverage(strength: float, studies: int) -> dict[str, float]:
    """Of studies of 4 × 20 prompts; the population's own values are those of 4,000 prompts."""
    population = Population(strength)
    truth = values(similarity(*population.sample(1000, np.random.default_rng(0))))
    rng = np.random.default_rng(int(100 * strength) + 1)
    covered = dict.fromkeys(truth, 0)
    for _ in range(studies):
        for name, (_, interval) in values(similarity(*population.sample(20, rng))).items():
            covered[name] += interval is not None and interval[0] <= truth[name][0] <= interval[1]
    return {name: count / studies for name, count in covered.items()}


@simulated(60, nightly=500)
@pytest.mark.parametrize("strength", [0.25, 0.5, 1.5])
def test_intervals_cover_an_effect_that_is_there_about_95_times_in_100(strength: float, seeds: range) -> None:
    shares = coverage(strength, len(seeds))
    error = np.sqrt(0.95 * 0.05 / len(seeds))
    assert all(0.91 - 2 * error <= share <= 0.97 + 2 * error for share in shares.values()), shares
    assert np.mean(list(shares.values())) <= 0.98


@simulated(60, nightly=500)
def test_where_there_is_no_effect_intervals_are_wide_enough(seeds: range) -> None:
    """Then the influence of each prompt on d all but vanishes, and pairs, counted once, make the width."""
    shares = coverage(0.0, len(seeds))
    error = np.sqrt(0.95 * 0.05 / len(seeds))
    assert all(0.93 - 2 * error <= share <= 0.97 + 2 * error for share in shares.values()), shares


SMALL_AND_UNEQUAL = [
    *([3] * 4, [5] * 4, [10] * 4, [10, 60]),
    *(pytest.param(sizes, marks=pytest.mark.nightly) for sizes in ([3, 200], [5, 100], [200, 200])),
]


@pytest.mark.slow
@simulated(60, nightly=500)
@pytest.mark.parametrize("sizes", SMALL_AND_UNEQUAL, ids=str)
@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_intervals_of_small_and_unequal_categories_cover_or_are_not_given(
    sizes: list[int], strength: float, seeds: range
) -> None:
    """The truth is the mean of the estimates over all studies, so that only the width is in question."""
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.random.default_rng(5).random((CATEGORIES, 24))[numbers]
    scatter = np.array([0.6, 0.8, 1.0, 1.2])[numbers, None]
    found: dict[str, list[tuple[float, tuple[float, float] | None]]] = {}
    for seed in seeds:
        noise = np.random.default_rng([31, seed]).random((len(numbers), 24))
        one = similarity(1 + strength * centres + scatter * noise, [f"c{number}" for number in numbers])
        balanced = one.balanced
        assert balanced is not None
        found.setdefault("balanced d", []).append((balanced.cohens_d, balanced.ci))
        found.setdefault("balanced difference", []).append((balanced.difference, balanced.difference_ci))
        for name, value in values(one).items():
            found.setdefault(name, []).append(value)
    for name, studies in found.items():
        truth = np.mean([value for value, _ in studies])
        given = [ends for _, ends in studies if ends is not None]
        if given:
            print(name, end=": ")
            assert_share(np.array([low <= truth <= high for low, high in given]), 0.9, 0.98)


@pytest.mark.parametrize("sizes", [[2, 200], [2, 2, 2, 2]], ids=str)
def test_with_two_prompts_in_a_category_nothing_that_depends_on_it_has_an_interval(sizes: list[int]) -> None:
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.random.default_rng(0).random((len(numbers), 24)) + 0.2 * np.eye(24)[numbers]
    found = similarity(vectors, [f"c{number}" for number in numbers])
    assert found.cohens_d_ci is None
    assert found.within.ci is None
    assert found.across.ci is None
    assert found.auc is not None
    assert found.auc.ci is None
    assert found.balanced is not None
    assert found.balanced.ci is None
    assert (found.by_category["c1"].ci is None) == (sizes[1] < 3)


def test_a_mean_over_prompts_of_groups_leaves_out_whole_groups() -> None:
    labels, groups = list("aaaaaabbbbbb"), list("ppqqrrstuuvv")
    units, measured = units_of(labels, groups), np.random.default_rng(3).random(12)
    left_out = []
    for unit in range(len(units)):
        kept = units.units != unit
        means = [measured[kept & (units.categories == c)].mean() for c in (0, 1)]
        left_out.append(np.mean(means))  # six prompts of each: shares of categories stay
    found = mean_interval(measured, units.categories, units=units)
    assert found == pytest.approx(jackknife_interval(measured.mean(), np.array(left_out), units.strata))


def test_signatures_that_are_the_same_have_no_effect_size() -> None:
    found = similarity(np.ones((8, 4)), list("aaaabbbb"))
    assert found.cohens_d is None
    assert found.within.mean == pytest.approx(1)
    assert unit_rows(np.ones((2, 4))).shape == (2, 4)


def test_an_interval_is_cut_to_what_the_statistic_can_be_and_stays_one_of_floats() -> None:
    assert [repr(end) for end in clipped((-1.5, 1.0000000000000002), (-1, 1)) or ()] == ["-1.0", "1.0"]
    assert clipped((0.25, 0.5), (-1, 1)) == (0.25, 0.5)
    assert clipped(None, (-1, 1)) is None
