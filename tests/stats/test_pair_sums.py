"""Sums over pairs from moments are those of explicit loops, whatever the shape of the data."""

import numpy as np
import pytest

from moexray.stats.pair_sums import PairSums, pair_sums

SHAPES = {
    "fewer prompts than dimensions": (12, 40, 3, 1.0),
    "more prompts than dimensions": (60, 5, 3, 1.0),
    "more prompts than a block holds": (5000, 3, 2, 1.0),
    "two prompts": (2, 4, 2, 1.0),
    "one prompt in each category": (4, 2, 4, 1.0),
    "signatures that are almost the same": (30, 6, 2, 1e-6),
    "signatures that are the same": (30, 6, 2, 0.0),
}


def loops(units: np.ndarray, numbers: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
    similarities = np.array([[u @ v for v in units] for u in units]) - shift
    np.fill_diagonal(similarities, 0)
    marks = np.eye(numbers.max() + 1)[numbers]
    return similarities @ marks, similarities**2 @ marks


def made(shape: str) -> tuple[np.ndarray, np.ndarray, PairSums]:
    prompts, dimensions, categories, spread = SHAPES[shape]
    rng = np.random.default_rng(3)
    vectors = 1 + spread * rng.random((prompts, dimensions))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = np.arange(prompts) % categories
    return units, numbers, pair_sums(units, numbers, categories)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_equal_those_over_every_pair(shape: str) -> None:
    units, numbers, found = made(shape)
    if len(units) > 1000:
        units, numbers = units[:1000], numbers[:1000]
        found = pair_sums(units, numbers, 2)
    first, second = loops(units, numbers, found.shift)
    np.testing.assert_allclose(found.first, first, atol=1e-9)
    np.testing.assert_allclose(found.second, second, atol=1e-9)


def test_blocks_of_prompts_add_up() -> None:
    """All pairs of 5,000 prompts, from the sum of their vectors."""
    units, _, found = made("more prompts than a block holds")
    total = units.sum(axis=0)
    pairs = len(units) * (len(units) - 1)
    assert found.pairs.sum() == pairs
    assert found.first.sum() + pairs * found.shift == pytest.approx(total @ total - len(units), rel=1e-9)
    squares = ((units.T @ units) ** 2).sum() - len(units)
    shifted = found.second.sum() + 2 * found.shift * found.first.sum() + pairs * found.shift**2
    assert shifted == pytest.approx(squares, rel=1e-9)


def test_the_spread_of_almost_equal_signatures_is_not_lost_to_rounding() -> None:
    """Their similarities differ in the thirteenth digit: from Σs² − (Σs)²/n nothing would be left."""
    units, _, found = made("signatures that are almost the same")
    wide = units.astype(np.longdouble)
    wide /= np.sqrt((wide**2).sum(axis=1, keepdims=True))
    values = (1 - (wide @ wide.T))[np.triu_indices(len(units), 1)]
    pairs = len(values)
    variance = (found.second.sum() / 2 - (found.first.sum() / 2) ** 2 / pairs) / pairs
    assert np.sqrt(variance) == pytest.approx(float(values.std()), rel=1e-2)
