"""Simulated power is the level where nothing is to be found, and a pilot predicts the power of its population."""

import numpy as np
import pytest

from moexray.stats.categories.location import location_test
from moexray.stats.categories.population import Population, StudyDesign, population_of_effect
from moexray.stats.categories.power import PowerPoint, needed_number, power_curve, simulated_power

from ..recipes import nested_templates
from ..simulations import assert_share, simulated
from .test_population import estimated, routers


@simulated(100, nightly=1000)
@pytest.mark.parametrize(("units", "prompts"), [(5, 1), (4, 3)])
def test_power_without_a_difference_is_the_level(units: int, prompts: int, seeds: range) -> None:
    rng = np.random.default_rng(3)
    pilot = nested_templates(rng, 0.3 * (prompts > 1), categories=3, templates=6, prompts=prompts)
    of = estimated(pilot, grouped=prompts > 1).at_distance(0)
    found = simulated_power(of, StudyDesign(units, prompts), studies=len(seeds), rng=seeds[0])
    assert_share(np.arange(len(seeds)) < round(found * len(seeds)), 0.03, 0.07)


@pytest.mark.slow
@simulated(6, nightly=60)
@pytest.mark.parametrize(("category", "number"), [(0.25, 4), (0.15, 8), (0.1, 20)])
def test_pilots_predict_the_power_of_their_population(category: float, number: int, seeds: range) -> None:
    """Studies of a router, whose selections are not normal, and what pilots of twenty prompts a category expect."""
    studies = 10 * len(seeds)
    truth = []
    for seed in range(studies):
        study = routers(np.random.default_rng([seed, 1]), number, category=category)
        truth.append(location_test(study.shares, study.labels, permutations=99, rng=seed).p_value <= 0.05)
    predicted = [
        simulated_power(
            estimated(routers(np.random.default_rng([seed, 2]), 20, category=category)),
            StudyDesign(number),
            studies=20,
            rng=seed,
        )
        for seed in seeds
    ]
    error = np.sqrt(np.var(truth) / studies + np.var(predicted, ddof=1) / len(seeds))
    print(f"{category} at {number}: {np.mean(truth):.3f}, predicted {np.mean(predicted):.3f} ± {np.std(predicted):.3f}")
    assert np.mean(predicted) == pytest.approx(np.mean(truth), abs=3 * error + 0.05)


def test_power_grows_with_prompts_and_tokens_and_with_the_difference() -> None:
    of = estimated(routers(np.random.default_rng(0), 20, category=0.15))

    def power(population: Population, *design: float) -> float:
        return simulated_power(population, StudyDesign(*design), studies=60, rng=0)  # type: ignore[arg-type]

    assert power(of, 12) > power(of, 4) + 0.1
    assert power(of, 6, 1, 4.0) > power(of, 6, 1, 0.25) + 0.1
    assert power(of.at_distance(3 * of.squared_distance), 6) > power(of, 6) + 0.1


def test_a_curve_ends_at_its_second_point_with_enough_power() -> None:
    of = population_of_effect(2.0, 3, rng=0)
    points = power_curve(of, [(n, StudyDesign(n)) for n in (6, 8, 10, 12, 14)], studies=20, rng=0)
    assert [one.number for one in points] == [6, 8]
    assert [one.prompts for one in points] == [18, 24]
    assert all(one.ci[0] < one.power <= one.ci[1] for one in points)


def points(*powers: float) -> list[PowerPoint]:
    return [
        PowerPoint(number, 2 * number, power, (power - 0.1, min(1.0, power + 0.1)))
        for number, power in zip((4, 8, 16, 32), powers, strict=False)
    ]


def test_the_needed_number_lies_between_the_points_on_either_side_of_the_target() -> None:
    """From 0.7 at 8 to 0.9 at 16: half-way on the scale of logarithms is 8·√2 = 11.3."""
    found = needed_number(points(0.3, 0.7, 0.9, 1.0), 0.8)
    assert (found.number, found.least, found.most) == (12, 8, 16)


def test_a_point_below_the_one_before_it_is_averaged_with_it() -> None:
    found = needed_number(points(0.85, 0.65, 0.85, 1.0), 0.8)
    assert found.number == int(np.ceil(8 * 2 ** ((0.8 - 0.75) / (0.85 - 0.75))))


def test_no_number_is_named_where_none_has_the_power() -> None:
    found = needed_number(points(0.1, 0.2, 0.3), 0.8)
    assert (found.number, found.least, found.most) == (None, None, None)
    assert needed_number(points(0.9, 0.95), 0.8).number == 4
