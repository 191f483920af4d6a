"""SRP is 1 where one choice of experts fits a window, and its closed form where tokens are independent."""

import numpy as np
import pytest

from moexray.stats.workloads.consistency import consistency, independent_counts, window_counts

from .caches import drawn_sets


def srp(experts: np.ndarray, window: int, *, width: int, prompts: np.ndarray | None = None) -> float:
    prompts = np.zeros(len(experts), dtype=np.int64) if prompts is None else prompts
    (counts,) = window_counts(experts, prompts, prompts, windows=[window], width=width)
    return float(consistency(counts.sum(axis=(0, 1))))


def test_counts_are_those_of_every_window() -> None:
    rng = np.random.default_rng(0)
    experts = np.stack([drawn_sets(rng, 30, 6, 2) for _ in range(2)], axis=1)
    experts[rng.random(experts.shape) < 0.2] = -1
    prompts, blocks = np.repeat([0, 1, 2], [11, 3, 16]), np.repeat([1, 0, 1], [11, 3, 16])
    found = window_counts(experts, prompts, blocks, windows=[4, 12], width=6)
    for window, counts in zip((4, 12), found, strict=True):
        expected = np.zeros((2, 2, window + 1), dtype=int)
        for prompt in range(3):
            own = experts[prompts == prompt]
            for start in range(len(own) - window + 1):
                for layer, expert in np.ndindex(2, 6):
                    uses = (own[start : start + window, layer] == expert).sum()
                    expected[blocks[prompts == prompt][0], layer, uses] += 1
        assert np.array_equal(counts, expected)


def test_srp_is_the_best_f1_of_all_thresholds() -> None:
    counts = np.array([50, 20, 9, 4, 1])
    uses = np.repeat(np.arange(5), counts)
    best = 0.0
    for threshold in range(1, 5):
        chosen = uses >= threshold
        precision, recall = uses[chosen].sum() / (4 * chosen.sum()), uses[chosen].sum() / uses.sum()
        best = max(best, 2 * precision * recall / (precision + recall))
    assert consistency(counts) == pytest.approx(best)


def test_one_token_and_constant_routing_fit_wholly() -> None:
    experts = drawn_sets(np.random.default_rng(1), 40, 8, 2)[:, None]
    assert srp(experts, 1, width=8) == 1
    assert srp(np.tile([5, 2], (40, 1))[:, None], 16, width=8) == 1


def test_independent_uniform_routing_has_the_closed_form() -> None:
    """0.464 for windows of 4 and 0.321 for windows of 16, where a token uses an eighth of the experts."""
    experts = np.argsort(np.random.default_rng(2).random((4000, 64)), axis=1)[:, :8][:, None]
    for window, value in ((4, 0.464), (16, 0.321)):
        assert consistency(independent_counts(np.full(64, 1 / 8), window)) == pytest.approx(value, abs=0.0005)
        assert srp(experts, window, width=64) == pytest.approx(value, abs=0.005)


def test_uneven_load_alone_has_its_own_closed_form() -> None:
    rng = np.random.default_rng(3)
    rates = np.array([0.9, 0.6, 0.3, 0.1, 0.1])
    uses = rng.random((20_000, 5)) < rates
    experts = np.where(uses, np.arange(5), -1)[:, None]
    assert srp(experts, 4, width=5) == pytest.approx(float(consistency(independent_counts(rates, 4))), abs=0.005)


def test_no_window_gives_no_value() -> None:
    (counts,) = window_counts(
        np.zeros((3, 1, 1), dtype=int), np.zeros(3, dtype=int), np.zeros(3, dtype=int), windows=[4], width=2
    )
    assert not counts.any()
    assert np.isnan(consistency(counts.sum(axis=(0, 1))))
