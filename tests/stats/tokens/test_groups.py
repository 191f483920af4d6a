"""Prompts of one group count as one, in every test of token identity, whether a group holds one category or all."""

from dataclasses import replace

import numpy as np
import pytest

from moexray.stats.inference.units import units_of
from moexray.stats.pairs.matrix import matrix_permutation_test
from moexray.stats.tokens.expected import OtherBlocks, expected_routing
from moexray.stats.tokens.residual import residual_test
from moexray.stats.tokens.same_token import same_token_test
from moexray.stats.tokens.sums import selections, token_rows

from ..simulations import assert_level, assert_power, simulated
from .studies import EXPERTS, TokenStudy, crossed_tokens, token_router

PERMUTATIONS = 199


def own_seed(study: TokenStudy) -> int:
    """Return a seed for each study: with the same permutations in all, p-values would depend on each other."""
    return int(study.token_ids @ np.arange(len(study.token_ids)))


def same_token_p(study: TokenStudy) -> float:
    return same_token_test(
        study.token_ids,
        study.prompts,
        study.experts,
        study.labels,
        width=EXPERTS,
        permutations=PERMUTATIONS,
        rng=own_seed(study),
        groups=study.groups,
    ).p_value


def residual_p(study: TokenStudy) -> float:
    rows = token_rows(study.token_ids, study.prompts)
    counts = [selections(rows, study.experts[:, 0], EXPERTS)]
    return residual_test(
        rows, counts, study.labels, permutations=PERMUTATIONS, rng=own_seed(study), groups=study.groups
    ).p_value


def signature_p(study: TokenStudy, kind: str) -> float:
    rows, units = token_rows(study.token_ids, study.prompts), units_of(study.labels, study.groups)
    others = OtherBlocks(rows, units.units, units.units)
    found = expected_routing(others, selections(rows, study.experts[:, 0], EXPERTS))
    vectors, noise = {"observed": (found.observed, 0), "expected": (found.expected, found.noise_expected)}[kind]
    lengths = np.linalg.norm(vectors, axis=1)
    products = (vectors @ vectors.T - noise) / lengths[:, None] / lengths
    return matrix_permutation_test(
        products, study.labels, permutations=PERMUTATIONS, rng=own_seed(study), groups=study.groups
    ).p_value


P_VALUES = {
    "same token": same_token_p,
    "residual": residual_p,
    "observed": lambda study: signature_p(study, "observed"),
    "expected": lambda study: signature_p(study, "expected"),
}


@simulated(20, nightly=400)
@pytest.mark.parametrize("test", P_VALUES)
def test_groups_with_words_and_routing_of_their_own_are_no_category_effect(test: str, seeds: range) -> None:
    """16 groups of two and three prompts of four categories, which do not differ."""
    studies = (token_router(np.random.default_rng([seed, 1])) for seed in seeds)
    assert_level([P_VALUES[test](study) for study in studies])


def test_prompts_as_units_would_find_a_category_effect_in_groups() -> None:
    """So the level above is not that of a test that finds nothing."""
    studies = [replace(token_router(np.random.default_rng([seed, 1])), groups=None) for seed in range(20)]
    assert np.mean([signature_p(study, "observed") <= 0.05 for study in studies]) > 0.5


@simulated(20, nightly=400)
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("test", ["same token", "residual"])
def test_contents_posed_in_every_category_are_no_category_effect(test: str, repeats: int, seeds: range) -> None:
    """Categories have words of their own, and contents words and routing; with `repeats`, so has a content in one."""
    contents, cell = 12 // repeats, 0.3 * (repeats - 1)
    studies = (
        crossed_tokens(np.random.default_rng([seed, 2]), contents=contents, cell=cell, repeats=repeats)
        for seed in seeds
    )
    assert_level([P_VALUES[test](study) for study in studies])


@simulated(20, nightly=400)
@pytest.mark.parametrize("test", ["observed", "expected"])
def test_contents_with_the_same_words_in_every_category_have_no_category_effect(test: str, seeds: range) -> None:
    studies = (
        crossed_tokens(np.random.default_rng([seed, 3]), own_words=(0.6, 0), content=0.8, contents=10) for seed in seeds
    )
    assert_level([P_VALUES[test](study) for study in studies])


@simulated(12, nightly=200)
@pytest.mark.parametrize("test", ["same token", "residual"])
def test_categories_that_route_otherwise_are_found_behind_contents_that_differ_more(test: str, seeds: range) -> None:
    studies = (
        crossed_tokens(np.random.default_rng([seed, 4]), contents=20, content=0.8, category=0.3) for seed in seeds
    )
    assert_power([P_VALUES[test](study) for study in studies])


@simulated(12, nightly=200)
@pytest.mark.parametrize("test", ["same token", "residual"])
def test_categories_of_several_groups_that_route_otherwise_are_found(test: str, seeds: range) -> None:
    studies = (
        token_router(np.random.default_rng([seed, 5]), groups=(2,) * 32, group=0.3, category=0.4) for seed in seeds
    )
    assert_power([P_VALUES[test](study) for study in studies])
