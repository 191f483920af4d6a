"""Phases of prompts that share templates or contents: what a unit has in common is not a prompt's own."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from moexray.stats.categories.segments import SegmentComparison, compare_segments
from moexray.stats.inference.jackknife import mean_interval
from moexray.stats.inference.units import units_of

from ..simulations import assert_level, assert_power, assert_share, simulated

Drawn = tuple[np.ndarray, np.ndarray, list[str], list[str]]


def templates(seed: int, own: float = 0.0, prompts: int = 5) -> Drawn:
    """Two categories of four templates, which both phases follow; of the prompt itself they follow `own`."""
    rng = np.random.default_rng([1, seed])
    of_template = np.repeat(np.arange(8), prompts)
    common = 5 + rng.normal(size=(8, 20))[of_template] + own * rng.normal(size=(len(of_template), 20))
    first, second = (common + rng.normal(size=common.shape) for _ in range(2))
    return first, second, ["ab"[t // 4] for t in of_template], [f"t{t}" for t in of_template]


def contents(seed: int, own: float = 0.0, number: int = 20, each: int = 1) -> Drawn:
    """Every content `each` times in four categories: both phases follow content and category."""
    rng = np.random.default_rng([2, seed])
    content, category, _ = (part.ravel() for part in np.indices((number, 4, each)))
    common = 5 + rng.normal(size=(number, 20))[content] + rng.normal(size=(4, 20))[category]
    common = common + own * rng.normal(size=common.shape)
    first, second = (common + rng.normal(size=common.shape) for _ in range(2))
    return first, second, ["abcd"[c] for c in category], [f"c{c}" for c in content]


def compared(drawn: Drawn, *, seed: int = 0, number: int = 199) -> SegmentComparison:
    first, second, labels, groups = drawn
    return compare_segments(first, second, labels, groups=groups, permutations=number, rng=seed)


@simulated(60, nightly=600)
@pytest.mark.parametrize("draw", [templates, contents], ids=["templates", "contents"])
def test_routing_that_follows_the_template_is_not_taken_for_the_prompts_own(
    draw: Callable[..., Drawn], seeds: range
) -> None:
    assert_level([compared(draw(seed), seed=seed).p_value for seed in seeds])


@simulated(30, nightly=200)
@pytest.mark.parametrize("draw", [templates, contents], ids=["templates", "contents"])
def test_routing_that_follows_the_prompt_itself_is_found_among_its_templates(
    draw: Callable[..., Drawn], seeds: range
) -> None:
    assert_power([compared(draw(seed, 0.5), seed=seed).p_value for seed in seeds])


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


@pytest.mark.parametrize("drawn", [templates(0), contents(0, number=5), contents(0, number=4, each=3)])
def test_means_with_others_leave_out_the_prompts_of_ones_own_unit(drawn: Drawn) -> None:
    first, second, labels, groups = drawn
    found, every = compared(drawn, number=9), range(len(labels))
    for mean, of_same in ((found.same_category, True), (found.other_categories, False)):
        rows = [
            [
                cosine(first[i], second[j])
                for j in every
                if groups[j] != groups[i] and (labels[j] == labels[i]) == of_same
            ]
            for i in every
        ]
        assert mean == pytest.approx(np.mean([np.mean(row) for row in rows]))


def test_contents_posed_once_in_each_category_exchange_their_deviations_as_a_whole() -> None:
    """Four contents: 4! = 24 arrangements, each measured by its definition."""
    first, second, labels, groups = drawn = contents(3, number=4, own=0.2)
    units = [np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) for vectors in (first, second)]
    one, other = (part.reshape(4, 4, 20) - part.reshape(4, 4, 20).mean(axis=1, keepdims=True) for part in units)
    sums = [sum(float((one[i] * other[j]).sum()) for i, j in enumerate(order)) for order in permutations(range(4))]
    p = float(np.mean(np.array(sums) >= sums[0] - 1e-12))
    found = compared(drawn, number=20_000)
    assert found.p_value == pytest.approx(p, abs=4 * np.sqrt(max(p * (1 - p), 0.01) / 20_000))
    assert found.least_p == pytest.approx(1 / 24)
    assert (labels[:4], groups[:4]) == (list("abcd"), ["c0"] * 4)


def test_what_a_content_adds_to_its_prompts_changes_no_p_where_lengths_are_equal() -> None:
    """Unit vectors stay unit vectors: a further dimension holds content and what is left of the length."""
    rng = np.random.default_rng(4)
    vectors = [rng.normal(size=(12, 6)) for _ in range(2)]
    vectors = [0.5 * one / np.linalg.norm(one, axis=1, keepdims=True) for one in vectors]
    labels, groups = list("abc") * 4, [f"c{i // 3}" for i in range(12)]
    angles = np.repeat(rng.uniform(0, 2 * np.pi, size=4), 3)
    added = np.sqrt(0.75) * np.column_stack([np.cos(angles), np.sin(angles)])
    plain = np.sqrt(0.75) * np.column_stack([np.ones(12), np.zeros(12)])
    found = set()
    for extra in (added, plain):
        first, second = (np.hstack([one, extra]) for one in vectors)
        found.add(compared((first, second, labels, groups), number=99).p_value)
    assert len(found) == 1


def test_one_prompt_of_each_unit_that_nothing_can_be_exchanged_with_has_no_p() -> None:
    first, second, *_ = templates(5)
    labels, groups = list("aabbc"), ["s", "t", "t", "u", "u"]
    found = compare_segments(first[:5], second[:5], labels, groups=groups, permutations=9, rng=0)
    assert (found.p_value, found.least_p) == (None, None)
    assert found.own is not None


def test_equal_signatures_have_a_p_of_one() -> None:
    same = np.tile(np.arange(1.0, 8), (40, 1))
    *_, labels, groups = templates(0)
    for given in (None, groups):
        found = compare_segments(same, same, labels, groups=given, permutations=99, rng=0)
        assert found.p_value == 1


def test_groups_of_one_prompt_change_nothing() -> None:
    first, second, labels, _ = templates(6, 0.2)
    alone = [f"g{i}" for i in range(len(labels))]
    assert compared((first, second, labels, alone)) == compare_segments(first, second, labels, permutations=199, rng=0)


def test_the_interval_of_own_similarity_is_that_of_the_means_of_templates() -> None:
    """Templates of equal size: the mean of their means, in two strata."""
    first, second, labels, groups = templates(7)
    values = [cosine(u, v) for u, v in zip(first, second, strict=True)]
    means = np.array(values).reshape(8, 5).mean(axis=1)
    expected = mean_interval(means, np.repeat([0, 1], 4))
    assert compared((first, second, labels, groups), number=1).own_ci == pytest.approx(expected)


DESIGNS = {
    "templates of one size": (np.repeat(np.arange(16), 5), np.repeat(np.arange(4), 20)),
    "templates of unequal size": (np.repeat(np.arange(20), [2, 4, 6, 8] * 5), np.repeat(np.arange(4), 25)),
    "contents": (np.repeat(np.arange(20), 4), np.tile(np.arange(4), 20)),
}


@simulated(300, nightly=4000)
@pytest.mark.parametrize("design", DESIGNS)
def test_the_interval_of_a_mean_over_units_holds_the_true_mean_as_often_as_it_should(design: str, seeds: range) -> None:
    """Values have a part of the prompt's own and one of its unit; the categories' means differ."""
    units, categories = DESIGNS[design]
    studied = units_of(["abcd"[c] for c in categories], [f"u{u}" for u in units])
    inside = []
    for seed in seeds:
        rng = np.random.default_rng([5, seed])
        values = categories + rng.normal(size=units.max() + 1)[units] + rng.normal(size=len(units))
        low, high = mean_interval(values, studied.categories, units=studied)
        inside.append(low <= categories.mean() <= high)
    assert_share(np.array(inside), 0.93, 0.97)
