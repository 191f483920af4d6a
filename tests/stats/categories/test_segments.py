"""Prompt against generated routing: the sums are those of explicit loops, and p is exact within categories."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import kstest, t

from moexray.errors import NotComputable
from moexray.stats.categories.segments import compare_segments
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.pairs.similarity import similarity

UNEQUAL = list("aaaabbbbbbbccc")


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


def routing(seed: int, labels: list[str], *, shared: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two phases that follow the category alike, and a pattern of the prompt's own as far as it is `shared`."""
    rng = np.random.default_rng(seed)
    of_category = dict(zip("abc", rng.random((3, 24)), strict=True))
    patterns = shared * rng.random((len(labels), 24))
    first, second = (
        np.array([of_category[label] for label in labels]) + patterns + rng.random((len(labels), 24)) for _ in range(2)
    )
    return first, second


@pytest.mark.parametrize("prompts", [14, 70])
def test_every_mean_is_that_of_an_explicit_loop(prompts: int) -> None:
    """With fewer prompts than dimensions, and with more."""
    labels = UNEQUAL * (prompts // 14)
    first, second = routing(0, labels, shared=0.5)
    found = compare_segments(first, second, labels, permutations=9, rng=0)
    every = range(prompts)
    assert found.own == pytest.approx(np.mean([cosine(first[i], second[i]) for i in every]))
    same = [[cosine(first[i], second[j]) for j in every if j != i and labels[j] == labels[i]] for i in every]
    others = [[cosine(first[i], second[j]) for j in every if labels[j] != labels[i]] for i in every]
    assert found.same_category == pytest.approx(np.mean([np.mean(row) for row in same]))
    assert found.other_categories == pytest.approx(np.mean([np.mean(row) for row in others]))


def test_either_phase_has_the_effect_that_it_has_by_itself() -> None:
    phases = routing(1, UNEQUAL)
    found = compare_segments(*phases, UNEQUAL, permutations=9, rng=0)
    for effect, vectors in zip((found.first, found.second), phases, strict=True):
        alone = similarity(vectors, UNEQUAL)
        assert (effect.within, effect.across) == pytest.approx((alone.within.mean, alone.across.mean))
        assert effect.cohens_d == pytest.approx(alone.cohens_d)
        assert effect.cohens_d_ci == pytest.approx(alone.cohens_d_ci)


def test_the_intervals_leave_each_prompt_out_of_both_phases_at_once() -> None:
    labels = list("aaaabbbbbbbccc")
    first, second = routing(2, labels, shared=0.5)
    found = compare_segments(first, second, labels, permutations=9, rng=0)
    differences = []
    for i in range(len(labels)):
        rest = np.delete(np.arange(len(labels)), i)
        left = [labels[j] for j in rest]
        before, after = (similarity(phase[rest], left).cohens_d for phase in (first, second))
        differences.append(after - before)
    numbers = np.array(["abc".index(label) for label in labels])
    assert found.difference == pytest.approx(found.second.cohens_d - found.first.cohens_d)
    assert found.difference_ci == pytest.approx(jackknife_interval(found.difference, np.array(differences), numbers))


def test_the_interval_of_own_similarity_is_that_of_a_stratified_mean() -> None:
    """Own similarities are independent, so its variance is Σ n_c s_c² / n², with Welch's degrees of freedom."""
    labels = list("aaaabbbbbbbccc")
    first, second = routing(2, labels, shared=0.5)
    found = compare_segments(first, second, labels, permutations=9, rng=0)
    of = {c: [cosine(first[i], second[i]) for i in range(14) if labels[i] == c] for c in "abc"}
    parts = np.array([len(values) * np.var(values, ddof=1) for values in of.values()]) / 14**2
    freedom = parts.sum() ** 2 / sum(parts**2 / [len(values) - 1 for values in of.values()])
    half = t.ppf(0.975, freedom) * np.sqrt(parts.sum())
    assert found.own_ci == pytest.approx((found.own - half, found.own + half))


def test_p_is_the_share_of_all_arrangements_within_categories() -> None:
    """Three prompts of each of two categories: 3! · 3! = 36 arrangements."""
    labels = list("ababab")
    first, second = routing(3, labels, shared=0.3)
    places = [[0, 2, 4], [1, 3, 5]]
    means = []
    for orders in product(permutations(places[0]), permutations(places[1])):
        pairs = zip([*places[0], *places[1]], [j for order in orders for j in order], strict=True)
        means.append(np.mean([cosine(first[i], second[j]) for i, j in pairs]))
    p = np.mean(np.array(means) >= means[0] - 1e-12)
    assert 1 / 36 < p < 1
    found = compare_segments(first, second, labels, permutations=20_000, rng=0)
    assert found.p_value == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 20_000))


def test_phases_that_are_the_same_do_not_differ_and_are_wholly_alike() -> None:
    first, _ = routing(4, UNEQUAL)
    found = compare_segments(first, 3 * first, UNEQUAL, permutations=99, rng=0)
    assert found.own == pytest.approx(1)
    assert found.difference == pytest.approx(0, abs=1e-12)
    assert found.difference_ci == pytest.approx((0, 0), abs=1e-12)
    assert found.p_value == 1 / 100


def test_a_category_in_common_is_not_taken_for_a_prompt_of_its_own() -> None:
    """Generated routing follows the category but not the prompt: p is uniform, however strong the category is."""
    p_values = [
        compare_segments(*routing(seed, UNEQUAL), UNEQUAL, permutations=199, rng=seed).p_value for seed in range(100)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_a_pattern_of_the_prompt_in_both_phases_is_found() -> None:
    found = compare_segments(*routing(5, UNEQUAL, shared=1.0), UNEQUAL, permutations=999, rng=0)
    assert found.p_value == 1 / 1000
    assert found.same_category is not None
    assert found.own > found.same_category


def test_every_prompt_counts_once_in_the_mean_however_large_its_category_is() -> None:
    """Two prompts all alike and nine not at all: over prompts 2/11, where pairs would make 2/74 of it."""
    tight, loose = np.eye(4)[[0, 0]] + 0.1, np.eye(12)[:9]
    first = np.zeros((11, 16))
    first[:2, :4], first[2:, 4:] = tight, loose
    found = compare_segments(first, first, ["t"] * 2 + ["l"] * 9, permutations=9, rng=0)
    assert found.same_category == pytest.approx(2 / 11)


def test_one_category_has_its_own_similarity_but_no_others() -> None:
    labels = ["a"] * 5
    found = compare_segments(*routing(6, labels), labels, permutations=9, rng=0)
    assert found.first.across is None
    assert found.other_categories is None
    assert found.difference is None
    assert found.difference_ci is None
    assert found.same_category is not None
    assert found.p_value is not None


def test_categories_of_one_prompt_have_nobody_to_be_shuffled_with() -> None:
    labels = list("abc")
    found = compare_segments(*routing(7, labels), labels, permutations=9, rng=0)
    assert found.same_category is None
    assert found.p_value is None
    assert found.own_ci is None
    assert found.other_categories is not None


def test_a_single_prompt_is_compared_with_itself_alone() -> None:
    found = compare_segments(*routing(8, ["a"]), ["a"], permutations=9, rng=0)
    assert 0 < found.own < 1
    assert (found.own_ci, found.same_category, found.other_categories, found.p_value) == (None, None, None, None)


def test_no_prompt_is_not_computable() -> None:
    with pytest.raises(NotComputable, match="no prompt"):
        compare_segments(np.ones((0, 3)), np.ones((0, 3)), [], permutations=9, rng=0)


@pytest.mark.parametrize("prompts", [6, 8, 11, 13, 16])
@pytest.mark.parametrize("experts", [3, 4, 5, 7])
def test_signatures_that_are_the_same_are_never_more_alike_than_that(prompts: int, experts: int) -> None:
    """Not even by rounding, which would put a mean outside of its own interval."""
    vectors = np.tile(np.arange(1.0, experts + 1), (prompts, 1))
    found = compare_segments(vectors, vectors, ["ab"[i % 2] for i in range(prompts)], permutations=9, rng=0)
    for mean in (found.own, found.same_category, found.other_categories):
        assert mean == pytest.approx(1)
        assert mean <= 1
    assert found.own_ci[0] <= found.own <= found.own_ci[1] <= 1
