"""Two routers of the same prompts differ, or do not, whatever the prompts are like."""

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.stats.experts.paired import paired_routing
from moexray.stats.pairs.divergence import jensen_shannon

LABELS = ["a", "b"] * 10


def shares(rng: np.random.Generator, preferences: np.ndarray) -> np.ndarray:  # (prompts, layers, experts)
    return np.array([[rng.multinomial(80, p) / 80 for p in layers] for layers in preferences])


def test_a_change_is_found_in_its_layer_and_its_experts() -> None:
    rng = np.random.default_rng(1)
    before = rng.dirichlet(np.ones(8), size=(20, 2))
    after = before.copy()
    after[:, 1, 0] = 0.2 * before[:, 1, 0]
    after[:, 1, 1] += 0.8 * before[:, 1, 0]
    first, second = shares(rng, before), shares(rng, after)
    same, changed = paired_routing(first, second, LABELS, permutations=4999, rng=0)
    assert same.p_value > 0.01
    assert changed.p_value < 0.05
    assert np.argsort(-np.abs(changed.differences))[:2].tolist() in ([0, 1], [1, 0])
    means = [part[:, 1].mean(axis=0) for part in (first, second)]
    assert changed.differences == pytest.approx(means[1] - means[0])
    assert changed.jensen_shannon == pytest.approx(float(jensen_shannon(*means)))


def test_experts_that_a_layer_does_not_have_are_not_tested() -> None:
    rng = np.random.default_rng(2)
    first, second = (shares(rng, rng.dirichlet(np.ones(3), size=(20, 2))) for _ in range(2))
    first[:, 1, 2] = second[:, 1, 2] = 0
    found = paired_routing(first, second, LABELS, permutations=99, rng=0, experts=np.array([3, 2]))
    every = paired_routing(first, second, LABELS, permutations=99, rng=0)
    assert np.isnan([found[1].differences[2], found[1].adjusted[2]]).all()
    tested = [value for layer in found for value in layer.adjusted if not np.isnan(value)]
    assert len(tested) == 5
    assert all(one.p_value == other.p_value for one, other in zip(found, every, strict=True))
    # The missing expert's p was 1, the largest of six: without it each other is adjusted for five tests.
    assert min(tested) == pytest.approx(min(value for layer in every for value in layer.adjusted) * 5 / 6)


def test_two_runs_of_one_router_give_uniform_p() -> None:
    """However much prompts differ from each other."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng([3, seed])
        preferences = rng.dirichlet(np.ones(8), size=(20, 1))
        first, second = shares(rng, preferences), shares(rng, preferences)
        found.append(paired_routing(first, second, LABELS, permutations=99, rng=seed)[0].p_value)
    continuous = np.array(found) - np.random.default_rng(1).random(200) / 100
    assert kstest(continuous, "uniform").pvalue > 0.001
