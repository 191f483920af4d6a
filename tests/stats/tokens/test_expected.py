"""A token is expected where its id goes in other blocks, and estimation errors add nothing to similarity."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from moexray.stats.tokens.expected import ExpectedRouting, OtherBlocks, covered_tokens, expected_routing
from moexray.stats.tokens.sums import selections, token_rows

from ..simulations import simulated

Planted = Callable[..., Any]
KINDS = np.arange(40) % 4


def expected(drawn: Any, blocks: np.ndarray, least: int = 5) -> ExpectedRouting:
    rows = token_rows(drawn.token_ids, drawn.prompts)
    return expected_routing(OtherBlocks(rows, blocks), selections(rows, drawn.experts[:, 0], 16), least=least)


@pytest.mark.parametrize("blocks", [np.arange(40), np.arange(40) // 2, KINDS], ids=["prompts", "groups", "categories"])
def test_every_token_is_expected_where_its_id_goes_in_other_blocks(planted: Planted, blocks: np.ndarray) -> None:
    drawn = planted(0, token=1, category=0.5)
    found = expected(drawn, blocks)
    for prompt in range(40):
        observed, elsewhere = [], []
        for token in np.flatnonzero(drawn.prompts == prompt):
            others = (drawn.token_ids == drawn.token_ids[token]) & (blocks[drawn.prompts] != blocks[prompt])
            if others.sum() >= 5:
                elsewhere.append(np.bincount(drawn.experts[others, 0].ravel(), minlength=16) / others.sum() / 4)
                observed.append(np.bincount(drawn.experts[token, 0], minlength=16) / 4)
        assert found.covered[prompt] == len(observed)
        if observed:
            assert found.observed[prompt] == pytest.approx(np.mean(observed, axis=0))
            assert found.expected[prompt] == pytest.approx(np.mean(elsewhere, axis=0))
            assert found.residual[prompt] == pytest.approx(np.mean(observed, axis=0) - np.mean(elsewhere, axis=0))
        else:
            assert not found.observed[prompt].any()
            assert not found.expected[prompt].any()


def test_the_share_that_is_covered_falls_with_what_is_asked_for(planted: Planted) -> None:
    drawn = planted(1, token=1)
    rows = token_rows(drawn.token_ids, drawn.prompts)
    covered = [covered_tokens(OtherBlocks(rows, np.arange(40)), least=least).sum() for least in (1, 5, 50, 10_000)]
    assert sorted(covered, reverse=True) == covered
    assert covered[0] <= len(drawn.token_ids)
    assert covered[-1] == 0


@simulated(60, nightly=200)
@pytest.mark.parametrize("prompt", [0.0, 0.7])
@pytest.mark.parametrize("blocks", [np.arange(40), KINDS], ids=["prompts", "categories"])
def test_residuals_of_a_router_that_looks_at_tokens_alone_are_unlike_on_average(
    planted: Planted, blocks: np.ndarray, prompt: float, seeds: range
) -> None:
    """Within categories, where prompts share tokens, as across; and without what chance adds they are far from it.

    Where prompts have preferences of their own the leverage of a prompt is that of its tokens together, and what chance
    adds is known to a twentieth.
    """
    same = (KINDS[:, None] == KINDS) & ~np.eye(40, dtype=bool)
    products, raw = [], []
    for seed in seeds:
        found = expected(planted(seed, token=1, prompt=prompt, own_words=0.7, layers=1), blocks)
        alike = found.residual @ found.residual.T
        products.append((alike - found.noise_residual)[same].mean())
        raw.append(alike[same].mean())
    error = np.std(products) / np.sqrt(len(seeds))
    assert abs(np.mean(products)) < 4 * error + (abs(np.mean(raw)) / 20 if prompt else 0)
    assert abs(np.mean(raw)) > 8 * np.std(products) / np.sqrt(200)


def test_products_of_expected_signatures_are_those_of_a_router_known_exactly(mixed: Planted) -> None:
    """With ever the same prompts, the mean over routings is the product of what is expected of them with certainty."""
    drawn, _ = mixed(0, 1.0)
    by_id = np.random.default_rng(1).dirichlet(np.full(16, 0.3), size=120)
    rows, prompts = token_rows(drawn.token_ids, drawn.prompts), np.arange(40)
    kept = covered_tokens(OtherBlocks(rows, prompts)) > 0
    apart = np.ix_(kept, kept)
    means, first = [], expected(drawn, prompts)
    rng = np.random.default_rng(2)
    for _ in range(300):
        experts = (rng.random((len(drawn.token_ids), 1)) > by_id[drawn.token_ids].cumsum(axis=1)).sum(axis=1)
        counts = selections(rows, experts.clip(0, 15)[:, None], 16)
        found = expected_routing(OtherBlocks(rows, prompts), counts)
        means.append((found.expected @ found.expected.T - found.noise_expected)[apart])
    often = np.bincount(drawn.token_ids, minlength=120)
    truth = np.zeros((40, 16))
    for prompt in range(40):
        ids = drawn.token_ids[drawn.prompts == prompt]
        inside = np.bincount(ids, minlength=120)
        covered = ids[(often - inside)[ids] >= 5]
        truth[prompt] = by_id[covered].mean(axis=0) if len(covered) else 0
    assert (first.covered > 0).tolist() == kept.tolist()
    off = ~np.eye(int(kept.sum()), dtype=bool)
    difference = (np.mean(means, axis=0) - (truth @ truth.T)[apart])[off]
    errors = np.std(means, axis=0)[off] / np.sqrt(300)
    assert np.sqrt(np.mean((difference / errors) ** 2)) == pytest.approx(1, abs=0.35)
