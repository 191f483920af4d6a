"""The load-balancing nulls are what they say: uniform without replacement, and both margins kept."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chisquare, hypergeom

from moexray.stats.categories.balance import (
    Baseline,
    counts_by_expert,
    counts_by_token,
    load_matched_baseline,
    uniform_baseline,
    uniform_counts,
)
from moexray.stats.pairs.similarity import Similarity, similarity

TOKENS, TOP_K, EXPERTS = np.array([1, 3, 10, 25]), np.array([3, 2]), np.array([7, 7])


def similarity_of(counts: np.ndarray) -> Similarity:
    shares = counts / counts.sum(axis=2, keepdims=True)
    return similarity(shares.reshape(len(counts), -1), ["a", "b"] * (len(counts) // 2))


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


def test_the_uniform_null_of_unequal_layers_has_the_mean_of_their_own_numbers_of_experts() -> None:
    """One token a prompt: |v|² = Σ 1/k, and two prompts' product is Σ overlap/k², of mean Σ 1/E."""
    experts, top_k = np.array([8, 5, 3]), np.array([2, 2, 1])
    observed = similarity_of(np.ones((4, 1, 8), dtype=int))
    found = uniform_baseline(np.ones(40, dtype=int), top_k, experts, observed=observed, rng=0, draws=200)
    assert found.mean == pytest.approx((1 / 8 + 1 / 5 + 1 / 3) / (1 / 2 + 1 / 2 + 1), abs=0.002)


def test_one_number_of_experts_stands_for_all_layers() -> None:
    one = uniform_counts(TOKENS, TOP_K, 7, rng=np.random.default_rng(5))
    each = uniform_counts(TOKENS, TOP_K, EXPERTS, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(one, each)


def test_the_uniform_null_has_the_hypergeometric_mean() -> None:
    """One token a prompt, one layer: cosine is the overlap of two k-subsets over k, whose mean is k/E."""
    found = uniform_baseline(
        np.ones(40, dtype=int),
        np.array([8]),
        64,
        observed=similarity_of(np.ones((4, 1, 8), dtype=int)),
        rng=0,
        draws=200,
    )
    overlap = hypergeom(64, 8, 8)
    assert overlap.mean() / 8 == 8 / 64
    standard_error = overlap.std() / 8 / np.sqrt(200 * 40 * 39 / 2)
    assert found.mean == pytest.approx(8 / 64, abs=5 * standard_error)


def test_a_long_prompt_comes_close_to_perfect_balance() -> None:
    observed = similarity_of(uniform_counts(np.full(6, 9), TOP_K, EXPERTS, rng=np.random.default_rng(0)))
    found = uniform_baseline(np.full(6, 100_000), TOP_K, EXPERTS, observed=observed, rng=0, draws=20)
    assert found.mean == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("null", ["uniform", "load_matched"])
def test_signatures_of_a_balanced_router_lie_within_the_uniform_null_and_planted_ones_do_not(null: str) -> None:
    """Within above and across below are verdicts on the observed means against the null's interval."""
    rng = np.random.default_rng(0)
    counts = uniform_counts(np.full(8, 20), np.array([2]), 8, rng=rng)
    planted = counts.copy()
    planted[0::2, :, :4] += planted[0::2, :, 4:]
    planted[0::2, :, 4:] = 0
    planted[1::2, :, 4:] += planted[1::2, :, :4]
    planted[1::2, :, :4] = 0

    def baseline(data: np.ndarray) -> Baseline:
        if null == "uniform":
            return uniform_baseline(np.full(8, 20), np.array([2]), 8, observed=similarity_of(data), rng=1)
        return load_matched_baseline(data, observed=similarity_of(data), rng=1)

    found = baseline(planted)
    assert found.across_below
    assert found.ci[0] <= found.mean <= found.ci[1]
    if null == "load_matched":
        assert found.within_above
    else:
        assert not baseline(counts).across_below


def test_the_load_matched_null_keeps_both_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = uniform_counts(TOKENS, TOP_K, EXPERTS, rng=np.random.default_rng(0))
    drawn: list[np.ndarray] = []
    from moexray.stats.categories import balance

    measured = balance._mean_similarity

    def draw(table: np.ndarray) -> float:
        drawn.append(table)
        return measured(table)

    monkeypatch.setattr(balance, "_mean_similarity", draw)
    load_matched_baseline(counts, observed=similarity_of(counts), rng=0, draws=5)
    assert len(drawn) == 5
    for table in drawn:
        np.testing.assert_array_equal(table.sum(axis=2), counts.sum(axis=2))
        np.testing.assert_array_equal(table.sum(axis=0), counts.sum(axis=0))
    assert any((table != counts).any() for table in drawn)


def test_the_mean_similarity_of_a_draw_is_that_of_its_pairs() -> None:
    from moexray.stats.categories.balance import _mean_similarity

    counts = uniform_counts(TOKENS, TOP_K, EXPERTS, rng=np.random.default_rng(0))
    found = similarity_of(counts)
    pairs = found.within.mean * found.within.pairs + found.across.mean * found.across.pairs
    assert _mean_similarity(counts) == pytest.approx(pairs / 6)


@pytest.mark.parametrize("experts", [3, 5, 7])
def test_where_every_token_goes_to_every_expert_nothing_lies_outside_the_uniform_null(experts: int) -> None:
    """All similarities are one, so what is left of their differences is rounding."""
    tokens = np.array([18, 31, 7, 44, 25, 3])
    counts = np.tile(tokens[:, None, None], (1, 3, experts))
    observed = similarity_of(counts)
    found = uniform_baseline(tokens, np.full(3, experts), experts, observed=observed, rng=0, draws=5)
    assert found.mean == pytest.approx(1, abs=1e-12)
    assert found.mean <= 1
    assert not found.within_above
    assert not found.across_below
