"""The balance of uniform routing is that of drawn experts."""

import numpy as np
import pytest

from moexray.stats import even_loads, layer_loads


def test_it_is_the_mean_of_drawn_tokens() -> None:
    """40 tokens that each pick 2 of 6 experts, token by token."""
    rng, drawn = np.random.default_rng(0), []
    for _ in range(400):
        picks = np.concatenate([rng.choice(6, size=2, replace=False) for _ in range(40)])
        drawn.append(layer_loads(np.bincount(picks, minlength=6)[None])[0])
    (found,) = even_loads(np.array([80]), 40, np.array([6]), rng=1, draws=400)
    assert found.entropy == pytest.approx(np.mean([one.entropy for one in drawn]), abs=0.002)
    assert found.gini == pytest.approx(np.mean([one.gini for one in drawn]), abs=0.01)
    assert found.max_over_mean == pytest.approx(np.mean([one.max_over_mean for one in drawn]), abs=0.03)


def test_all_experts_a_token_is_perfect_balance() -> None:
    (found, other) = even_loads(np.array([60, 20]), 20, np.array([3, 4]), rng=0)
    measures = (found.entropy, found.gini, found.max_over_mean, found.dead_experts)
    assert measures == pytest.approx((1, 0, 1, 0))
    assert other.entropy < 1


def test_one_token_leaves_experts_dead() -> None:
    (found,) = even_loads(np.array([2]), 1, np.array([8]), rng=0)
    assert found.dead_experts == 6
