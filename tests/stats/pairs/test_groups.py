"""Pairs where prompts have groups: none is inside a group, and intervals and permutations treat a group as one unit."""

from itertools import combinations

import numpy as np
import pytest

from moexray.stats.inference.jackknife import jackknife_interval, logit_interval
from moexray.stats.inference.units import units_of
from moexray.stats.layers.by_layer import layer_p_values
from moexray.stats.pairs.matrix import matrix_permutation_test, matrix_similarity
from moexray.stats.pairs.shuffled import differences_of_labelings, permutation_test
from moexray.stats.pairs.similarity import category_effect, similarity

from ..loops import effect_size
from ..recipes import crossed_contents, nested_templates
from ..simulations import assert_level, assert_power, simulated

NESTED = (list("aaaaabbbbbbcccccc"), list("ppqqrsssttuvvwwxx"))
CROSSED = (list("aabbabababcabcabc"), list("pppqqqrrssstttuuu"))
MIXED = (list("aabbababbbccacacc"), ["p", "p", "p", "q", "q", "", "", "s", "s", "", "u", "u", "u", "v", "v", "w", ""])


def vectors_of(labels: list[str], seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((len(labels), 5)) + 0.4 * np.eye(5)[[ord(label) - ord("a") for label in labels]]


def pairs_of(vectors: np.ndarray, labels: list[str], groups: list[str]) -> tuple[list[float], list[float]]:
    """Similarities within and across, pair by pair."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    within: list[float] = []
    across: list[float] = []
    for p, q in combinations(range(len(labels)), 2):
        if groups[p] and groups[p] == groups[q]:
            continue
        (within if labels[p] == labels[q] else across).append(float(directions[p] @ directions[q]))
    return within, across


@pytest.mark.parametrize(("labels", "groups"), [NESTED, CROSSED, MIXED])
def test_similarity_is_of_pairs_of_different_groups(labels: list[str], groups: list[str]) -> None:
    vectors = vectors_of(labels)
    found, (within, across) = similarity(vectors, labels, groups=groups), pairs_of(vectors, labels, groups)
    assert (found.within.pairs, found.across.pairs) == (len(within), len(across))
    assert (found.within.mean, found.within.std) == pytest.approx((np.mean(within), np.std(within, ddof=1)))
    assert found.cohens_d == pytest.approx(effect_size(within, across))
    assert found.auc is not None
    assert found.auc.value == pytest.approx(np.mean([[w > a for a in across] for w in within]))


@pytest.mark.parametrize(("labels", "groups"), [NESTED, CROSSED, MIXED])
def test_intervals_leave_out_whole_groups(labels: list[str], groups: list[str]) -> None:
    vectors, units = vectors_of(labels), units_of(labels, groups)
    found = similarity(vectors, labels, groups=groups)
    left = []
    for unit in range(len(units)):
        rows = np.flatnonzero(units.units != unit)
        some = pairs_of(vectors[rows], [labels[i] for i in rows], [groups[i] for i in rows])
        left.append((effect_size(*some), np.mean(some[1]), np.mean([[w > a for a in some[1]] for w in some[0]])))
    d, across, auc = np.array(left).T
    np.testing.assert_allclose(category_effect(vectors, labels, groups=groups).without_each, d, rtol=1e-9)
    assert found.cohens_d_ci == pytest.approx(jackknife_interval(found.cohens_d or 0, d, units.strata))
    assert found.across.ci == pytest.approx(jackknife_interval(found.across.mean or 0, across, units.strata))
    assert found.auc is not None
    assert found.auc.ci == pytest.approx(logit_interval(found.auc.value, auc, units.strata))


@pytest.mark.parametrize(("labels", "groups"), [NESTED, CROSSED, MIXED])
@pytest.mark.parametrize("dimensions", [5, 40])
def test_the_difference_under_any_labeling_is_that_of_a_loop_over_pairs(
    labels: list[str], groups: list[str], dimensions: int
) -> None:
    vectors, units = np.random.default_rng(0).random((len(labels), dimensions)), units_of(labels, groups)
    vectors[4] = 0  # a prompt without a signature in this layer
    labelings = np.concatenate(list(units.labelings(20, 1, first=True)))
    expected = []
    kept = np.flatnonzero(vectors.any(axis=1))
    for labeling in labelings:
        names = [str(labeling[units.parts[i]]) for i in kept]
        within, across = pairs_of(vectors[kept], names, [groups[i] for i in kept])
        expected.append(np.mean(within) - np.mean(across))
    np.testing.assert_allclose(differences_of_labelings(vectors, units, labelings), expected, atol=1e-13)


@pytest.mark.parametrize(("labels", "groups"), [NESTED, CROSSED])
def test_a_matrix_of_similarities_gives_what_its_vectors_give(labels: list[str], groups: list[str]) -> None:
    vectors = vectors_of(labels)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found, expected = (
        matrix_similarity(directions @ directions.T, labels, groups=groups),
        similarity(vectors, labels, groups=groups),
    )
    assert (found.within.mean, found.cohens_d) == pytest.approx((expected.within.mean, expected.cohens_d))
    assert found.cohens_d_ci == pytest.approx(expected.cohens_d_ci)
    assert vars(found.balanced)["ci"] == pytest.approx(vars(expected.balanced)["ci"])
    tested = matrix_permutation_test(directions @ directions.T, labels, permutations=99, rng=0, groups=groups)
    of_vectors = permutation_test(vectors, labels, permutations=99, rng=0, groups=groups)
    assert (tested.observed, tested.p_value) == pytest.approx((of_vectors.observed, of_vectors.p_value))


@simulated(100, nightly=1000)
@pytest.mark.parametrize("template", [0.0, 0.15, 0.3])
def test_templates_that_differ_are_no_effect_of_category(template: float, seeds: range) -> None:
    """Permuted over prompts, the labels of such studies were called significant in 4, 89 and 100 % of them."""
    studies = [nested_templates(np.random.default_rng([11, seed]), template) for seed in seeds]
    assert_level(
        [
            permutation_test(s.vectors, s.labels, groups=s.groups, permutations=199, rng=seed).p_value
            for seed, s in zip(seeds, studies, strict=True)
        ]
    )


@simulated(60, nightly=1000)
@pytest.mark.parametrize("template", [0.15, 0.3])
def test_templates_that_differ_single_out_no_layer(template: float, seeds: range) -> None:
    studies = [nested_templates(np.random.default_rng([12, seed]), template) for seed in seeds]
    assert_level(
        [
            min(layer_p_values(s.shares, s.labels, groups=s.groups, permutations=199, rng=seed).adjusted)
            for seed, s in zip(seeds, studies, strict=True)
        ]
    )


@simulated(60, nightly=500)
def test_an_effect_of_category_beside_that_of_templates_is_found(seeds: range) -> None:
    studies = [nested_templates(np.random.default_rng([13, seed]), 0.3, category=0.45) for seed in seeds]
    assert_power(
        [
            permutation_test(s.vectors, s.labels, groups=s.groups, permutations=199, rng=seed).p_value
            for seed, s in zip(seeds, studies, strict=True)
        ]
    )


@simulated(100, nightly=1000)
def test_contents_that_differ_are_no_effect_of_category(seeds: range) -> None:
    studies = [crossed_contents(np.random.default_rng([14, seed]), 0.8, 0.0) for seed in seeds]
    assert_level(
        [
            permutation_test(s.vectors, s.labels, groups=s.groups, permutations=199, rng=seed).p_value
            for seed, s in zip(seeds, studies, strict=True)
        ]
    )


@simulated(40, nightly=300)
def test_a_small_effect_within_contents_that_differ_much_is_found(seeds: range) -> None:
    """Where pairs of one content counted, no such study was significant, and d was −0.11."""
    studies = [crossed_contents(np.random.default_rng([15, seed]), 0.8, 0.1) for seed in seeds]
    found = [
        permutation_test(s.vectors, s.labels, groups=s.groups, permutations=199, rng=seed)
        for seed, s in zip(seeds, studies, strict=True)
    ]
    assert all(test.observed > 0 for test in found)
    assert_power([test.p_value for test in found])
