"""Shares of domains and of ids are plain arithmetic; discoveries are about prompts, and rarely false."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm

from moexray.errors import NotComputable
from moexray.stats.experts.specialisation import (
    SpecialisationTests,
    domain_specialisation,
    specialisation_tests,
    vocabulary_specialisation,
)
from moexray.stats.inference.units import Units, units_of

from ..recipes import EQUAL_MEANS, Sample, crossed_contents, equal_means, nested_templates, selected
from ..simulations import assert_power, assert_share, simulated

LABELS = ["a", "b", "c", "d"] * 10


def test_shares_are_selections_over_tokens() -> None:
    assert domain_specialisation(np.array([[3, 5], [8, 0]]), np.array([4, 8])).tolist() == [[0.75, 1.25], [1, 0]]
    assert vocabulary_specialisation(np.array([[3, 1]]), np.array([4])).tolist() == [[0.75, 0.25]]


DESIGNS = {
    "independent": (list("aabbbcccaa"), None),
    "nested": (list("aaaaaabbbbbbbb"), list("112233xxyyyzzw")),
    "crossed": (list("abcabcabcabc"), list("111222333444")),
    "crossed, some alone": (list("abcabcabcbaaabbbccc"), [*"1112223331", *[""] * 9]),
}


def compared_by_loop(
    shares: np.ndarray, units: Units, categories: np.ndarray, category: int
) -> tuple[np.ndarray, float]:
    """D and ΣV by their definitions: units of one category by their sums, units of several by their contrasts."""
    sums: dict[bool, list[tuple[np.ndarray, int]]] = {True: [], False: []}
    contrasts = []
    for unit in range(len(units)):
        mine, held = units.units == unit, categories[units.units == unit]
        inside = mine & (categories == category)
        if len(set(held.tolist())) == 1:
            sums[bool(inside.any())].append((shares[mine].sum(axis=0), int(mine.sum())))
        elif inside.any():
            contrasts.append(shares[inside].mean(axis=0) - shares[mine & ~inside].mean(axis=0))
    parts: list[tuple[np.ndarray, float, float]] = []
    if min(map(len, sums.values())) >= 2:
        means, errors = [], 0.0
        for some in (sums[True], sums[False]):
            prompts = sum(size for _, size in some)
            means.append(np.asarray(sum(total for total, _ in some) / prompts))
            squares = sum(((total - size * means[-1]) ** 2).sum() for total, size in some)
            errors += len(some) / (len(some) - 1) * squares / prompts**2
        numbers = [len(some) for some in sums.values()]
        parts.append((means[0] - means[1], errors, numbers[0] * numbers[1] / sum(numbers)))
    if len(contrasts) >= 2:
        variance = np.var(contrasts, axis=0, ddof=1).sum()
        parts.append((np.asarray(np.mean(contrasts, axis=0)), variance / len(contrasts), len(contrasts)))
    total = sum(weight for _, _, weight in parts)
    error = sum(weight**2 * error for _, error, weight in parts) / total**2
    difference = np.sum([weight * difference for difference, _, weight in parts], axis=0)
    return np.asarray(difference / total), float(error)


@pytest.mark.parametrize("design", DESIGNS)
def test_differences_and_p_are_those_of_a_loop_over_units(design: str) -> None:
    labels, groups = DESIGNS[design]
    rng = np.random.default_rng(0)
    shares = np.hstack([rng.dirichlet(np.ones(4), size=len(labels)) for _ in range(2)])
    found = specialisation_tests(shares, labels, groups=groups, permutations=39, rng=1)
    units, means = units_of(labels, groups), shares.mean(axis=0)
    labelings = np.concatenate(list(units.labelings(39, 1, first=True)))[:, units.parts]
    for category in range(len(units.names)):
        loops = [compared_by_loop(shares, units, labeling, category) for labeling in labelings]
        ratios = np.array([np.abs(difference) / error**0.5 for difference, error in loops])
        difference, error = loops[0]
        by_shuffles = (1 + (ratios[1:] >= ratios[0] - 1e-9).sum(axis=0)) / 40
        errors = np.sqrt(error * means * (1 - means) / (means * (1 - means)).sum())
        assert found.differences[category] == pytest.approx(difference)
        assert found.p_values[category] == pytest.approx(
            np.maximum(by_shuffles, 2 * norm.sf(np.abs(difference) / errors))
        )


def test_a_difference_is_that_of_the_means_where_no_group_holds_two_categories() -> None:
    for design in ("independent", "nested"):
        labels, groups = DESIGNS[design]
        shares = np.random.default_rng(1).dirichlet(np.ones(4), size=len(labels))
        found = specialisation_tests(shares, labels, groups=groups, permutations=9, rng=0)
        inside = np.array(labels) == "b"
        assert found.differences[1] == pytest.approx(shares[inside].mean(axis=0) - shares[~inside].mean(axis=0))


def test_a_category_of_two_prompts_is_not_tested() -> None:
    shares = np.random.default_rng(2).dirichlet(np.ones(4), size=12)
    found = specialisation_tests(shares, list("aaaaabbbbbcc"), permutations=9, rng=0)
    assert found.untested == ("c",)
    assert np.isnan(found.p_values[2]).all()
    assert np.isfinite(found.p_values[:2]).all()
    with pytest.raises(NotComputable, match="no category has 3 groups"):
        specialisation_tests(shares, list("aaaaaabbbbbb"), groups=list("111122333344"), permutations=9, rng=0)


def test_experts_that_do_not_vary_are_as_under_every_permutation() -> None:
    """Where every token selects every expert, all shares are equal but for rounding, which decides nothing."""
    rounding = np.random.default_rng(0).choice([-1, 0, 1], size=(40, 8)) * 1e-17
    found = specialisation_tests(np.full((40, 8), 1 / 8) + rounding, LABELS, permutations=99, rng=0)
    assert (found.p_values == 1).all()


@pytest.mark.filterwarnings("error")
def test_equal_shares_have_p_1_without_a_warning() -> None:
    found = specialisation_tests(np.full((8, 4), 0.25), list("aabb" * 2), permutations=9, rng=0)
    assert (found.p_values == 1).all()


def test_planted_experts_are_discovered_and_nearly_no_others() -> None:
    rng = np.random.default_rng(1)
    shares = rng.normal(1, 0.1, size=(40, 64)) / 64
    shares[::4, :8] += 0.3 / 64
    found = specialisation_tests(shares, LABELS, permutations=9999, rng=0)
    discovered = found.adjusted < 0.05
    assert discovered[0, :8].all()
    assert discovered[:, 8:].sum() <= 3


@simulated(60, nightly=200)
def test_where_there_is_nothing_a_study_discovers_something_in_one_case_of_twenty(seeds: range) -> None:
    rng = np.random.default_rng(2)
    found = [
        specialisation_tests(rng.random((40, 4)), LABELS, permutations=999, rng=seed).adjusted.min() < 0.05
        for seed in seeds
    ]
    assert np.mean(found) <= 0.1


def test_experts_that_do_not_exist_are_not_tested() -> None:
    """The others have the results of a test without these columns, adjusted for as many tests as there are."""
    shares = np.random.default_rng(3).random((40, 6))
    shares[:, [2, 5]] = 0
    exists = np.array([True, True, False, True, True, False])
    found = specialisation_tests(shares, LABELS, permutations=199, rng=0, exists=exists)
    alone = specialisation_tests(shares[:, exists], LABELS, permutations=199, rng=0)
    for name in ("differences", "p_values", "adjusted"):
        ours, theirs = getattr(found, name), getattr(alone, name)
        np.testing.assert_allclose(ours[:, exists], theirs, rtol=1e-12)
        assert np.isnan(ours[:, ~exists]).all()


def test_one_category_cannot_be_special() -> None:
    with pytest.raises(NotComputable, match="one category only"):
        specialisation_tests(np.ones((3, 2)), list("aaa"), permutations=9, rng=0)


# Prompts of few tokens beside many of many tokens; and the reverse, and equal lengths.
LENGTHS = {
    "5 short, 60 long": (Sample(5, (10, 20), 1e4), Sample(60, (60, 200), 1e4)),
    "10 short, 60 long": (Sample(10, (10, 40), 1e4), Sample(60, (30, 200), 1e4)),
    "60 short, 5 long": (Sample(60, (10, 20), 1e4), Sample(5, (60, 200), 1e4)),
    "3 short, 60 long": (Sample(3, (10, 20), 1e4), Sample(60, (60, 200), 1e4)),
    "20, 20": (Sample(20, (20, 80), 1e4), Sample(20, (20, 80), 1e4)),
}


def assert_none_special(tests: Sequence[SpecialisationTests]) -> None:
    """At most 7 % of p-values are below 0.05, and an expert is discovered in at most 5 % of studies."""
    shares = [float(np.mean(found.p_values <= 0.05)) for found in tests]
    print(f"p ≤ 0.05 in {np.mean(shares):.3f}")
    assert np.mean(shares) <= 0.07 + 3 * np.std(shares) / len(shares) ** 0.5
    assert_share(np.array([(found.adjusted < 0.05).any() for found in tests]), 0, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("samples", LENGTHS.values(), ids=list(LENGTHS))
@simulated(6, nightly=100)
def test_length_makes_no_expert_special(seeds: range, samples: Sequence[Sample]) -> None:
    studies = (equal_means(np.random.default_rng([seed, 3]), samples, mean=5) for seed in seeds)
    assert_none_special([specialisation_tests(s.vectors, s.labels, permutations=1999, rng=0) for s in studies])


@pytest.mark.slow
@pytest.mark.parametrize("samples", EQUAL_MEANS.values(), ids=list(EQUAL_MEANS))
@simulated(6, nightly=100)
def test_spread_and_size_make_no_expert_special(seeds: range, samples: Sequence[Sample]) -> None:
    studies = (equal_means(np.random.default_rng([seed, 3]), samples) for seed in seeds)
    assert_none_special([specialisation_tests(s.vectors, s.labels, permutations=1999, rng=0) for s in studies])


@pytest.mark.slow
@pytest.mark.parametrize("template", [0, 0.15, 0.3])
@simulated(10, nightly=100)
def test_templates_make_no_expert_special(seeds: range, template: float) -> None:
    studies = (nested_templates(np.random.default_rng([seed, 3]), template) for seed in seeds)
    assert_none_special(
        [specialisation_tests(s.vectors, s.labels, groups=s.groups, permutations=999, rng=0) for s in studies]
    )


@pytest.mark.slow
@simulated(10, nightly=100)
def test_contents_make_no_expert_special(seeds: range) -> None:
    studies = (crossed_contents(np.random.default_rng([seed, 3]), 0.8, 0) for seed in seeds)
    assert_none_special(
        [specialisation_tests(s.vectors, s.labels, groups=s.groups, permutations=999, rng=0) for s in studies]
    )


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0, 0.3], ids=["alike", "unlike"])
@simulated(2, nightly=20)
def test_planted_experts_of_a_category_are_found(seeds: range, spread: float) -> None:
    """In one of 4 × 20 prompts the first two experts of each layer are three times as likely; all of them are found."""
    for seed in seeds:
        rng = np.random.default_rng([seed, 4])
        logits = np.tile(rng.normal(0, 0.5, size=(1, 3, 32)), (80, 1, 1)) + spread * rng.normal(size=(80, 3, 32))
        logits[:20, :, :2] += np.log(3)
        counts = selected(rng, logits, 50, 4)
        labels = [f"kind {i // 20}" for i in range(80)]
        found = specialisation_tests((counts / 200).reshape(80, -1), labels, permutations=9999, rng=0)
        planted = found.adjusted[0].reshape(3, 32)[:, :2].ravel()
        assert_power(planted)
