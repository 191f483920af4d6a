"""Dispersion is how far prompts lie from their category's mean: however many there are, and wherever that mean is."""

from collections.abc import Callable

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.categories.dispersion import DispersionTest, dispersion_test
from moexray.stats.inference.units import units_of

from ..recipes import EQUAL_MEANS, Sample, SimulatedStudy, crossed_contents, equal_means, nested_templates
from ..simulations import assert_power, assert_share, simulated

Draw = Callable[[np.random.Generator], SimulatedStudy]


def of_study(study: SimulatedStudy, seed: int = 0, permutations: int = 199) -> DispersionTest:
    return dispersion_test(study.shares, study.labels, groups=study.groups, permutations=permutations, rng=seed)


@pytest.mark.parametrize("drops", [False, True], ids=["all layers", "some dropped"])
@pytest.mark.parametrize("groups", [None, list("1122334xxyyzzzw"), list("123456712345678")])
def test_a_dispersion_is_that_of_a_loop_over_pairs_of_units(groups: list[str] | None, *, drops: bool) -> None:
    labels = list("aaaaaaabbbbbbbb")
    shares = np.random.default_rng(0).dirichlet(np.ones(5), size=(15, 3))
    if drops:
        shares[1, 2] = shares[9, 0] = 0
    found = dispersion_test(shares, labels, groups=groups, permutations=9, rng=0)
    units, present = units_of(labels, groups), np.asarray(shares.any(axis=2))
    for name, spread in found.by_category.items():
        inside = [p for p, label in enumerate(labels) if label == name]
        variance = 0.0
        for layer in range(3):
            squares = [
                float(((shares[p, layer] - shares[q, layer]) ** 2).sum()) / 2
                for p in inside
                for q in inside
                if units.units[p] != units.units[q] and present[p, layer] and present[q, layer]
            ]
            variance += float(np.mean(squares))
        assert spread.mean == pytest.approx(variance**0.5)


def test_without_groups_its_square_is_the_variance_with_the_denominator_n_less_one() -> None:
    shares = np.random.default_rng(1).dirichlet(np.ones(8), size=(9, 2))
    found = dispersion_test(shares, list("aaaabbbbb"), permutations=9, rng=0)
    assert found.by_category["a"].mean ** 2 == pytest.approx(np.var(shares[:4], axis=0, ddof=1).sum())


def test_location_changes_nothing() -> None:
    study = equal_means(np.random.default_rng(2), (Sample(10, (40, 40), 20), Sample(15, (40, 40), 20)))
    moved = study.shares
    moved[:10] += np.linspace(0, 1, 32)
    before, after = of_study(study), dispersion_test(moved, study.labels, permutations=199, rng=0)
    assert after.p_value == before.p_value
    for name, spread in before.by_category.items():
        assert after.by_category[name].mean == pytest.approx(spread.mean)


def test_it_takes_three_units_and_signatures_that_differ() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(4), size=(6, 1))
    with pytest.raises(NotComputable, match="category 'b' has 2 prompts"):
        dispersion_test(shares, list("aaaabb"), permutations=9, rng=0)
    with pytest.raises(NotComputable, match="all signatures are equal"):
        dispersion_test(np.full((6, 2, 4), 0.25), list("aaabbb"), permutations=9, rng=0)


def test_a_category_of_equal_prompts_is_tighter_than_any_other() -> None:
    shares = np.random.default_rng(3).dirichlet(np.ones(4), size=(20, 1))
    shares[:10] = 0.25
    found = dispersion_test(shares, ["tight"] * 10 + ["loose"] * 10, permutations=999, rng=0)
    assert found.by_category["tight"].mean == pytest.approx(0, abs=1e-5)
    assert found.p_value < 0.05


def at_one_length(*numbers: int) -> Draw:
    return lambda rng: equal_means(rng, [Sample(number, (40, 41), 20) for number in numbers])


def elsewhere(rng: np.random.Generator) -> SimulatedStudy:
    """As far spread, with the experts of one category in reverse order."""
    study = at_one_length(10, 60)(rng)
    study.counts[:10] = study.counts[:10, :, ::-1]
    return study


def with_few_and_many_templates(rng: np.random.Generator) -> SimulatedStudy:
    study = nested_templates(rng, 0.5, categories=2, templates=12)
    kept = [i for i in range(len(study.labels)) if not 15 <= i < 60]
    labels, groups = ([names[i] for i in kept] for names in (study.labels, study.groups or []))
    return SimulatedStudy(study.counts[kept], labels, groups, study.tokens[kept])


NULLS: dict[str, Draw] = {
    "3, 20": at_one_length(3, 20),
    "5, 5": at_one_length(5, 5),
    "20, 20": at_one_length(20, 20),
    "10, 60": at_one_length(10, 60),
    "4 × 20": at_one_length(20, 20, 20, 20),
    "means differ": elsewhere,
    "templates": lambda rng: nested_templates(rng, 0.3),
    "templates that differ much": lambda rng: nested_templates(rng, 1),
    "3 and 12 templates": with_few_and_many_templates,
    "contents": lambda rng: crossed_contents(rng, 0.8, 0),
}


@pytest.mark.parametrize("draw", NULLS.values(), ids=list(NULLS))
@simulated(20, nightly=300)
def test_categories_as_spread_out_as_each_other_are_told_apart_by_chance(seeds: range, draw: Draw) -> None:
    """In at most 7 % of studies; in fewer where units are few, and p is that of t-tests."""
    p_values = [of_study(draw(np.random.default_rng([seed, 1])), seed).p_value for seed in seeds]
    assert_share(np.array(p_values) <= 0.05, 0, 0.07)


@pytest.mark.parametrize("name", [name for name in EQUAL_MEANS if "loose" in name or "20 short" in name])
@simulated(20, nightly=100)
def test_unequal_spread_and_length_are_found(seeds: range, name: str) -> None:
    studies = (equal_means(np.random.default_rng([seed, 1]), EQUAL_MEANS[name]) for seed in seeds)
    assert_power([of_study(study).p_value for study in studies])


def grouped(rng: np.random.Generator, units: int, prompts: int) -> tuple[np.ndarray, list[str], list[str], float]:
    """Two categories of units of prompts, each drawn around its unit's own mean; and their true dispersion."""
    scale = np.exp(-np.arange(40) / 10)
    own, rest = rng.normal(size=(2 * units, 1, 40)), rng.normal(size=(2 * units, prompts, 40))
    rows = (5 + scale * (own * (prompts > 1) + rest)).reshape(-1, 1, 40)
    numbers = np.repeat(np.arange(2 * units), prompts)
    truth = float((1 + (prompts > 1)) * (scale**2).sum()) ** 0.5
    return rows, [f"kind {number // units}" for number in numbers], [str(number) for number in numbers], truth


@pytest.mark.parametrize(("units", "prompts"), [(3, 1), (5, 1), (20, 1), (100, 1), (4, 5), (20, 5)])
@simulated(40, nightly=300)
def test_the_interval_covers_the_dispersion(seeds: range, units: int, prompts: int) -> None:
    covered = []
    for seed in seeds:
        rows, labels, groups, truth = grouped(np.random.default_rng([seed, 9]), units, prompts)
        for spread in dispersion_test(rows, labels, groups=groups, permutations=1, rng=0).by_category.values():
            assert spread.ci is not None
            covered.append(spread.ci[0] <= truth <= spread.ci[1])
    assert_share(np.array(covered), 0.93, 0.98)
