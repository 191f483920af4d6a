"""Sums over pairs from moments are those of explicit loops, whatever the shape of the data."""

from itertools import pairwise

import numpy as np
import pytest

from moexray.stats.pairs import moments
from moexray.stats.pairs import pair_sums as module
from moexray.stats.pairs.pair_sums import PairSums, pair_sums

from ..loops import sums_of_pairs

SHAPES = {
    "fewer prompts than dimensions": (12, 40, 3, 1.0),
    "more prompts than dimensions": (60, 5, 3, 1.0),
    "more prompts than a block holds": (5000, 3, 2, 1.0),
    "two prompts": (2, 4, 2, 1.0),
    "one prompt in each category": (4, 2, 4, 1.0),
    "signatures that are almost the same": (30, 6, 2, 1e-6),
    "fewer of them that are almost the same": (6, 30, 2, 1e-6),
    "signatures that are the same": (30, 6, 2, 0.0),
}


def made(shape: str) -> tuple[np.ndarray, np.ndarray, PairSums]:
    prompts, dimensions, categories, spread = SHAPES[shape]
    rng = np.random.default_rng(3)
    vectors = 1 + spread * rng.random((prompts, dimensions))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = np.arange(prompts) % categories
    return units, numbers, pair_sums(units, numbers, categories)


def assert_those_of_loops(found: PairSums, units: np.ndarray, numbers: np.ndarray) -> None:
    first, second = sums_of_pairs(units, numbers, found.totals.shift)
    own = np.eye(first.shape[1], dtype=bool)[numbers]
    np.testing.assert_allclose(found.first, first, atol=1e-9)
    np.testing.assert_allclose(found.second[:, 0], second[own], atol=1e-9)
    np.testing.assert_allclose(found.second[:, 1], second.sum(axis=1, where=~own), atol=1e-9)
    for ours, theirs in ((found.totals.first, first), (found.totals.second, second)):
        np.testing.assert_allclose(ours, own.T @ theirs, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found.totals.pairs, own.T @ found.pairs)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_equal_those_over_every_pair(shape: str) -> None:
    units, numbers, found = made(shape)
    if len(units) > 300:
        units, numbers = units[:300], numbers[:300]
        found = pair_sums(units, numbers, 2)
    assert_those_of_loops(found, units, numbers)


@pytest.mark.parametrize("held", [1, 40, 300, 2000])
def test_strips_of_moments_add_up_to_the_whole(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 17 dimensions and three categories, with room for so many numbers only."""
    monkeypatch.setattr(moments, "_MOST_BYTES", 8 * 7 * held)
    columns = list(moments.strips(17, 3))
    assert (columns[0].start, columns[-1].stop) == (0, 19)
    assert all(before.stop == after.start for before, after in pairwise(columns))
    assert all(
        part.stop * (part.stop - part.start) <= held + 3 * part.stop for part in columns
    )  # two at least, and the last together
    assert len(columns) == 1 or held < 19**2
    rng = np.random.default_rng(0)
    units = rng.random((50, 17))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    numbers = rng.permutation(np.arange(50) % 3)
    assert_those_of_loops(pair_sums(units, numbers, 3), units, numbers)


def test_similarities_of_a_block_of_prompts_with_all_are_those_of_all_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    units, numbers, whole = made("fewer prompts than dimensions")
    monkeypatch.setattr(module, "_MOST_NUMBERS", 5 * len(units))
    found = pair_sums(units, numbers, 3)
    np.testing.assert_allclose(found.first, whole.first, atol=1e-12)
    np.testing.assert_allclose(found.second, whole.second, atol=1e-12)


def test_blocks_of_prompts_add_up() -> None:
    """All pairs of 5,000 prompts, from the sum of their vectors."""
    units, _, found = made("more prompts than a block holds")
    total, shift = units.sum(axis=0), found.totals.shift
    pairs = len(units) * (len(units) - 1)
    assert found.pairs.sum() == pairs
    assert found.first.sum() + pairs * shift == pytest.approx(total @ total - len(units), rel=1e-9)
    squares = ((units.T @ units) ** 2).sum() - len(units)
    shifted = found.second[:, :2].sum() + 2 * shift * found.first.sum() + pairs * shift**2
    assert shifted == pytest.approx(squares, rel=1e-9)


@pytest.mark.parametrize("shape", ["signatures that are almost the same", "fewer of them that are almost the same"])
def test_the_spread_of_almost_equal_signatures_is_not_lost_to_rounding(shape: str) -> None:
    """Their similarities differ in the thirteenth digit: from Σs² − (Σs)²/n nothing would be left."""
    units, _, found = made(shape)
    wide = units.astype(np.longdouble)
    wide /= np.sqrt((wide**2).sum(axis=1, keepdims=True))
    values = (1 - (wide @ wide.T))[np.triu_indices(len(units), 1)]
    pairs = len(values)
    for second in (found.second.sum(), found.totals.second.sum()):
        variance = (second / 2 - (found.first.sum() / 2) ** 2 / pairs) / pairs
        assert np.sqrt(variance) == pytest.approx(float(values.std()), rel=1e-2)
