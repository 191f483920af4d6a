"""The AUC of more prompts than can be compared in full is off by no more than it says."""

import numpy as np
import pytest

from moexray.stats.inference.units import units_of
from moexray.stats.pairs.auc import auc_of_sample, exact_auc, sample_pairs


def units_and_numbers(prompts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    numbers = np.sort(rng.integers(3, size=prompts))
    vectors = rng.random((prompts, 12)) + 0.3 * np.eye(12)[numbers]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), numbers


@pytest.mark.parametrize("seed", range(5))
def test_a_sampled_auc_lies_within_its_bound_of_the_exact_one(seed: int) -> None:
    units, numbers = units_and_numbers(300, seed)
    pairs = sample_pairs(units_of([str(n) for n in numbers]), rng=seed)
    sampled = auc_of_sample(units[pairs.rows], pairs)
    assert sampled.error is not None
    assert sampled.error < 0.01
    assert abs(sampled.value - exact_auc(units, units_of([str(n) for n in numbers])).value) <= sampled.error


def test_every_comparison_of_many_prompts_is_made() -> None:
    units, numbers = units_and_numbers(60, 9)
    gram = units @ units.T
    pairs = [(p, q) for p in range(60) for q in range(p)]
    within = [gram[p, q] for p, q in pairs if numbers[p] == numbers[q]]
    across = [gram[p, q] for p, q in pairs if numbers[p] != numbers[q]]
    assert exact_auc(units, units_of(numbers.astype(str).tolist())).value == pytest.approx(
        np.mean([[w > a for a in across] for w in within])
    )


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 3, 0, 1]])
def test_rounding_does_not_decide_ties(order: list[int]) -> None:
    """Prompts a, b, a: the pair within is as alike as one pair across, and more than the other, so 3/4."""
    vectors = np.array([[3, 0, 0, 3], [3, 0, 2, 1], [1, 2, 0, 3]])[:, order] / 3
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert exact_auc(units, units_of(list("aba"))).value == 3 / 4
