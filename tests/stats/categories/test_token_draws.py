"""A balanced router's tokens pick k distinct experts, all sets equally likely, whichever way they are drawn."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chisquare

from moexray.stats.categories.token_draws import (
    counts_by_expert,
    counts_by_token,
    counts_of_selections,
    uniform_counts,
)

TOKENS, TOP_K, EXPERTS = np.array([1, 3, 10, 25]), np.array([3, 2]), np.array([7, 7])
Draw = Callable[..., np.ndarray]
BOTH_WAYS = pytest.mark.parametrize("draw", [counts_by_token, counts_by_expert])


@BOTH_WAYS
def test_every_token_picks_k_different_experts(draw: Draw) -> None:
    counts = draw(TOKENS, TOP_K, EXPERTS, rng=np.random.default_rng(0))
    assert (counts.sum(axis=2) == TOKENS[:, None] * TOP_K).all()
    assert (counts <= TOKENS[:, None, None]).all(), "a token picked an expert twice"


@BOTH_WAYS
def test_a_token_that_must_pick_every_expert_picks_every_expert(draw: Draw) -> None:
    counts = draw(TOKENS, EXPERTS, EXPERTS, rng=np.random.default_rng(0))
    assert (counts == TOKENS[:, None, None]).all()


@BOTH_WAYS
def test_counts_are_distributed_as_picks_token_by_token(draw: Draw) -> None:
    """Against a plain simulation: the mean, the variance and the covariance of two experts' counts."""
    rng = np.random.default_rng(0)
    ours = draw(np.full(4000, 6), np.array([3]), np.array([5]), rng=rng)[:, 0]
    picks = rng.permuted(np.tile(np.arange(5), (4000, 6, 1)), axis=2)[:, :, :3]
    plain = (picks[..., None] == np.arange(5)).sum(axis=(1, 2))
    np.testing.assert_allclose(ours.mean(axis=0), 6 * 3 / 5, atol=0.1)
    np.testing.assert_allclose(np.cov(ours.T), np.cov(plain.T), atol=0.12)


@BOTH_WAYS
def test_every_set_of_experts_is_as_likely_as_any_other(draw: Draw) -> None:
    """One token a prompt: each of the ten pairs out of five experts a tenth of the time (chi-squared)."""
    sets = draw(np.ones(20_000, dtype=int), np.array([2]), np.array([5]), rng=np.random.default_rng(1))[:, 0]
    found = np.unique(sets, axis=0, return_counts=True)[1]
    assert len(found) == 10
    assert chisquare(found).pvalue > 0.001


@BOTH_WAYS
def test_layers_of_unequal_numbers_of_experts_are_each_drawn_as_if_alone(draw: Draw) -> None:
    """Of eight, five and three experts, of which a token picks two, two and all three."""
    experts, top_k, tokens = np.array([8, 5, 3]), np.array([2, 2, 3]), np.full(4000, 6)
    counts = draw(tokens, top_k, experts, rng=np.random.default_rng(0))
    assert counts.shape == (4000, 3, 8)
    assert (counts.sum(axis=2) == 6 * top_k).all()
    for layer, size in enumerate(experts):
        assert not counts[:, layer, size:].any()
        alone = draw(tokens, top_k[[layer]], experts[[layer]], rng=np.random.default_rng(1))[:, 0]
        np.testing.assert_allclose(counts[:, layer, :size].mean(axis=0), 6 * top_k[layer] / size, atol=0.1)
        np.testing.assert_allclose(np.cov(counts[:, layer, :size].T), np.cov(alone.T), atol=0.12)
    assert (counts[:, 2, :3] == 6).all()


def test_one_number_of_experts_stands_for_all_layers() -> None:
    one = uniform_counts(TOKENS, TOP_K, 7, rng=np.random.default_rng(5))
    each = uniform_counts(TOKENS, TOP_K, EXPERTS, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(one, each)


def test_a_prompt_makes_as_many_selections_as_it_is_given_and_no_token_picks_an_expert_twice() -> None:
    """Ten selections of four tokens: two of three experts and two of two, none in the second layer."""
    selections = np.tile([[10, 0]], (4000, 1))
    counts = counts_of_selections(selections, np.full(4000, 4), np.array([5, 5]), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(counts.sum(axis=2), selections)
    assert counts.max() == 4
    inclusion = 2 * np.array([3 / 5, 2 / 5])
    assert counts[:, 0].mean() == pytest.approx(inclusion.sum())
    variance = 2 * (3 / 5 * 2 / 5 + 2 / 5 * 3 / 5)
    assert counts[:, 0].var(axis=0) == pytest.approx(np.full(5, variance), rel=0.1)


def test_a_layer_of_which_no_token_picks_an_expert_stays_empty() -> None:
    counts = uniform_counts(TOKENS, np.array([2, 0]), 7, rng=np.random.default_rng(0))
    assert not counts[:, 1].any()
