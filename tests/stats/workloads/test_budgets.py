"""Parameters that are learnt keep the mean that they were learnt for, by the definition of each rule."""

import numpy as np
import pytest

from moexray.stats.workloads.budgets import entropies, entropy_steps, ratios_at_mean, share_at_mean, threshold_at_mean

K = (8, 8, 4)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    """Gate weights of 3,000 tokens in no order; the last layer selects four."""
    rng = np.random.default_rng(3)
    found = np.exp(rng.normal(size=(3000, 3, 8)) * [[[0.5], [1.0], [2.0]]])
    found[:, 2, 4:] = 0
    return (found / found.sum(2, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("share", [0.25, 0.4, 0.5, 0.75])
def test_every_parameter_keeps_its_mean(weights: np.ndarray, share: float) -> None:
    mean = [share * k for k in K]
    p = share_at_mean(weights, K, mean)
    beta = ratios_at_mean(weights, K, mean)
    least, steps = entropy_steps(weights, K, mean)
    kept_by_share = []
    for layer, k in enumerate(K):
        falling = -np.sort(-weights[:, layer, :k].astype(float), axis=1)
        number = [next(n for n in range(1, k + 1) if row[:n].sum() >= p * row.sum() - 1e-12) for row in falling]
        kept_by_share.append(np.mean(number))
        by_ratio = (falling >= beta[layer] * falling[:, :1]).sum(1)
        assert by_ratio.mean() == pytest.approx(mean[layer], abs=0.01)
        entropy = -(falling / falling.sum(1, keepdims=True) * np.log(falling / falling.sum(1, keepdims=True))).sum(1)
        np.testing.assert_allclose(entropies(weights[:, layer], k), entropy, rtol=1e-6)
        by_entropy = least[layer] + (entropy[:, None] > np.array(steps[layer])).sum(1)
        assert by_entropy.mean() == pytest.approx(mean[layer], abs=0.01)
        assert least[layer] + len(steps[layer]) <= k
        assert least[layer] >= 1
    assert np.mean(kept_by_share) == pytest.approx(np.mean(mean), abs=0.01)


def test_the_median_of_naee_keeps_half_of_the_others(weights: np.ndarray) -> None:
    falling = -np.sort(-weights[:, 0].astype(float), axis=1)
    median = np.median(falling[:, 1:] / falling[:, :1])
    assert ratios_at_mean(weights[:, :1], [8], [4.5])[0] == pytest.approx(median, rel=1e-3)


def test_numbers_are_spread_evenly_around_the_mean(weights: np.ndarray) -> None:
    least, steps = entropy_steps(weights[:, :1], [8], [4.0])
    number = least[0] + (entropies(weights[:, 0], 8)[:, None] > np.array(steps[0])).sum(1)
    np.testing.assert_allclose(np.bincount(number, minlength=8)[1:] / len(number), 1 / 7, atol=0.001)


def test_a_mean_of_one_and_of_all(weights: np.ndarray) -> None:
    assert share_at_mean(weights, K, K) == 1.0
    assert ratios_at_mean(weights, K, K) == (0.0, 0.0, 0.0)
    assert entropy_steps(weights, K, K) == (K, ((), (), ()))
    assert entropy_steps(weights, K, [1, 1, 1]) == ((1, 1, 1), ((), (), ()))
    p = share_at_mean(weights, K, [1, 1, 1])
    assert 0 < p <= float((weights.max(2) / weights.sum(2)).min()) + 1e-6


def test_weights_of_zero_have_no_entropy() -> None:
    assert entropies(np.array([[1.0, 0.0], [0.5, 0.5]]), 2).tolist() == [0.0, pytest.approx(np.log(2))]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 1.0])
def test_one_threshold_keeps_the_mean_over_all_layers(weights: np.ndarray, share: float) -> None:
    """Layers of greater importance keep more; below one selection a token is possible."""
    importance = (0.6, 0.3, 0.1)
    threshold = threshold_at_mean(weights, K, [share * k for k in K], importance)
    kept = [
        (weights[:, layer, :k].astype(float) * importance[layer] >= threshold).sum(1).mean()
        for layer, k in enumerate(K)
    ]
    assert sum(kept) == pytest.approx(share * sum(K), abs=0.001)
    if share == 0.1:
        assert kept[0] > kept[1] > kept[2]
        assert kept[2] < 1
