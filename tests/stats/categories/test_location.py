"""Location differs where mean routing does, and not where categories differ in length, spread, size or templates."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.categories.location import location_test
from moexray.stats.inference.units import Units, units_of

from ..recipes import EQUAL_MEANS, Sample, SimulatedStudy, crossed_contents, equal_means, nested_templates
from ..simulations import assert_level, assert_power, simulated

DESIGNS = {
    "independent": (list("aaaaaabbbbbcccc"), None),
    "nested": (list("aaaaaaaabbbbbbb"), list("11223344xxxyyzz")),
    "crossed": (list("abcabcabcabc"), list("111222333444")),
    "crossed, some alone": (list("abcabcabcaabcaabbccaabbcc"), [*"111222333444456", *[""] * 10]),
}


def distance_by_loop(shares: np.ndarray, units: Units, categories: np.ndarray, prompts: Sequence[int]) -> float:
    """θ by its definition: means over ordered pairs of prompts of different units, one layer after the other."""
    total, present = 0.0, np.asarray(shares.any(axis=2))
    centres = [shares[present[:, layer], layer].mean(axis=0) for layer in range(shares.shape[1])]
    for layer, centre in enumerate(centres):
        products: dict[tuple[int, int], list[float]] = {}
        there = [p for p in prompts if present[p, layer]]
        for p in there:
            for q in there:
                if units.units[p] != units.units[q]:
                    product = (shares[p, layer] - centre) @ (shares[q, layer] - centre)
                    products.setdefault((categories[p], categories[q]), []).append(float(product))
        means = {pair: float(np.mean(found)) for pair, found in products.items()}
        total += sum(means[c, c] + means[d, d] - 2 * means[c, d] for c, d in combinations(range(len(units.names)), 2))
    return float(total)


def studentised_by_loop(shares: np.ndarray, units: Units, labeling: np.ndarray) -> tuple[float, float]:
    """Return θ and its jackknife standard error for these categories of the parts."""
    prompts, categories = range(len(shares)), labeling[units.parts]
    left_out = np.array(
        [
            distance_by_loop(shares, units, categories, [p for p in prompts if units.units[p] != unit])
            for unit in range(len(units))
        ]
    )
    # A unit of one category is in the sample of its category; the others are one sample.
    held = [set(categories[units.units == unit].tolist()) for unit in range(len(units))]
    samples = [next(iter(one)) if len(one) == 1 else "several" for one in held]
    variance = 0.0
    for sample in set(samples):
        inside = left_out[[one == sample for one in samples]]
        variance += (len(inside) - 1) * float(np.var(inside))
    return distance_by_loop(shares, units, categories, prompts), variance**0.5


@pytest.mark.parametrize("drops", [False, True], ids=["all layers", "some dropped"])
@pytest.mark.parametrize("design", DESIGNS)
def test_the_statistic_is_that_of_a_loop_over_pairs(design: str, *, drops: bool) -> None:
    labels, groups = DESIGNS[design]
    shares = np.random.default_rng(0).dirichlet(np.ones(5), size=(len(labels), 3))
    if drops:
        shares[1, 2] = shares[7, 0] = 0
    found = location_test(shares, labels, groups=groups, permutations=9, rng=0)
    units = units_of(labels, groups)
    distance, error = studentised_by_loop(shares, units, units.part_categories)
    assert found.squared_distance == pytest.approx(distance, rel=1e-9, abs=1e-14)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert found.statistic == pytest.approx(distance / error, rel=1e-9)


@pytest.mark.parametrize("design", DESIGNS)
def test_p_counts_the_permutations_whose_statistic_by_a_loop_is_as_large(design: str) -> None:
    labels, groups = DESIGNS[design]
    shares = np.random.default_rng(1).dirichlet(np.ones(4), size=(len(labels), 1))
    shares[0] = 0.25  # with a layer dropped, labels of dropped prompts move, too
    units = units_of(labels, groups)
    labelings = np.concatenate(list(units.labelings(19, 3, first=True)))
    loops = [studentised_by_loop(shares, units, labeling) for labeling in labelings]
    ratios = np.array([distance / error for distance, error in loops])
    found = location_test(shares, labels, groups=groups, permutations=19, rng=3)
    assert found.p_value == pytest.approx((1 + np.count_nonzero(ratios[1:] >= ratios[0] - 1e-9)) / 20)


def test_ways_by_the_matrix_and_by_dimensions_agree() -> None:
    """Columns of zeros change nothing, but the number of dimensions decides which way is taken."""
    for labels, groups in DESIGNS.values():
        shares = np.random.default_rng(2).dirichlet(np.ones(3), size=(len(labels), 1))
        wide = np.pad(shares, ((0, 0), (0, 0), (0, 40)))
        one, other = (location_test(x, labels, groups=groups, permutations=99, rng=0) for x in (shares, wide))
        assert one.statistic == pytest.approx(other.statistic, rel=1e-9)
        assert one.p_value == other.p_value


def test_the_centre_drops_out_where_units_are_of_equal_size() -> None:
    for design in ("independent", "crossed"):
        labels, groups = DESIGNS[design]
        shares = np.random.default_rng(3).dirichlet(np.ones(4), size=(len(labels), 2))
        one, moved = (location_test(x, labels, groups=groups, permutations=99, rng=0) for x in (shares, shares + 7))
        assert one.squared_distance == pytest.approx(moved.squared_distance, rel=1e-6)
        assert one.p_value == moved.p_value


@pytest.mark.slow
def test_the_squared_distance_is_unbiased_whatever_the_lengths() -> None:
    """Its mean over studies is 0 where means are equal, and what is planted where one has moved."""
    found: list[float] = []
    moved: list[float] = []
    shift = np.tile([0.02, -0.02], 16)
    for seed in range(150):
        study = equal_means(np.random.default_rng(seed), EQUAL_MEANS["10 short, 60 long"])
        away = study.shares + shift * (np.array(study.labels) == "kind 1")[:, None, None]
        for kept, shares in ((found, study.shares), (moved, away)):
            kept.append(location_test(shares, study.labels, permutations=1, rng=0).squared_distance)
    planted = 4 * float(shift @ shift)
    for values, truth in ((found, 0.0), (moved, planted)):
        assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / len(values) ** 0.5)


def test_a_difference_of_lengths_is_not_one_of_means() -> None:
    """Two directions: means at a right angle are all location; one direction, spread out in one category, is none."""
    apart = np.repeat(np.eye(4)[:2], 5, axis=0)[:, None]
    assert location_test(apart, list("aaaaabbbbb"), permutations=9, rng=0).share_of_difference == pytest.approx(1)
    spread = np.array([[0.25] * 4] * 8 + [*np.eye(4), *np.eye(4)])[:, None]
    found = location_test(spread, ["tight"] * 8 + ["loose"] * 8, permutations=99, rng=0)
    assert found.share_of_difference == 0
    assert found.p_value > 0.05


def test_a_perfect_separation_has_a_p_though_nothing_varies_inside() -> None:
    """The labelings of 2 v 2 categories of 4 prompts that split as well are 2 of 70."""
    shares = np.repeat(np.eye(2), 4, axis=0)[:, None]
    found = location_test(shares, list("aaaabbbb"), permutations=20_000, rng=0)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.p_value == pytest.approx(2 / 70, abs=0.005)


@pytest.mark.parametrize("value", [1 / 3, 0.1])
def test_equal_signatures_have_no_location(value: float) -> None:
    rounding = np.random.default_rng(0).choice([-1, 0, 1], size=(10, 2, 4)) * 1e-17
    with pytest.raises(NotComputable, match="all signatures are equal"):
        location_test(np.full((10, 2, 4), value) + rounding, list("aaaaabbbbb"), permutations=99, rng=0)


def test_it_takes_two_categories_of_three_units_each() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(4), size=(6, 1))
    with pytest.raises(NotComputable, match="one category only"):
        location_test(shares, list("aaaaaa"), permutations=9, rng=0)
    with pytest.raises(NotComputable, match="category 'b' has 2 prompts; 3 are needed"):
        location_test(shares, list("aaaabb"), permutations=9, rng=0)
    with pytest.raises(NotComputable, match="category 'a' has 2 groups; 3 are needed"):
        location_test(shares, list("aaabbb"), groups=list("112345"), permutations=9, rng=0)
    dropped = shares.copy()
    dropped[0] = 0  # a prompt without any selection is none
    with pytest.raises(NotComputable, match="category 'a' has 2 prompts; 3 are needed"):
        location_test(dropped, list("aaabbb"), permutations=9, rng=0)


def p_value(study: SimulatedStudy, seed: int) -> float:
    return location_test(study.shares, study.labels, groups=study.groups, permutations=199, rng=seed).p_value


@pytest.mark.parametrize("samples", EQUAL_MEANS.values(), ids=list(EQUAL_MEANS))
@simulated(20, nightly=500)
def test_length_spread_and_size_are_no_location(seeds: range, samples: Sequence[Sample]) -> None:
    assert_level([p_value(equal_means(np.random.default_rng([seed, 1]), samples), seed) for seed in seeds])


@pytest.mark.parametrize("template", [0, 0.15, 0.3])
@simulated(60, nightly=500)
def test_templates_are_no_location(seeds: range, template: float) -> None:
    assert_level([p_value(nested_templates(np.random.default_rng([seed, 1]), template), seed) for seed in seeds])


@simulated(60, nightly=500)
def test_contents_that_are_in_every_category_are_no_location(seeds: range) -> None:
    assert_level([p_value(crossed_contents(np.random.default_rng([seed, 1]), 0.8, 0), seed) for seed in seeds])


@simulated(20, nightly=200)
def test_a_category_effect_is_found_beside_contents(seeds: range) -> None:
    assert_power([p_value(crossed_contents(np.random.default_rng([seed, 2]), 0.8, 0.1), seed) for seed in seeds])


@simulated(20, nightly=200)
def test_a_category_effect_is_found_beside_templates(seeds: range) -> None:
    studies = (nested_templates(np.random.default_rng([seed, 2]), 0.15, category=0.2) for seed in seeds)
    assert_power([p_value(study, seed) for seed, study in zip(seeds, studies, strict=True)])


@pytest.mark.parametrize("samples", EQUAL_MEANS.values(), ids=list(EQUAL_MEANS))
@simulated(20, nightly=200)
def test_a_moved_mean_is_found_beside_length_and_spread(seeds: range, samples: Sequence[Sample]) -> None:
    """A fifth of one category's selections go to two experts of each layer instead of where they would have gone."""
    found = []
    for seed in seeds:
        study = equal_means(np.random.default_rng([seed, 2]), samples)
        shares, inside = study.shares, np.array(study.labels) == "kind 0"
        shares[inside] = 0.8 * shares[inside] + 0.2 * np.repeat([0.5, 0], [2, 30])
        found.append(location_test(shares, study.labels, permutations=199, rng=seed).p_value)
    assert_power(found)
