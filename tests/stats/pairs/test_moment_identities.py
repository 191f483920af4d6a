"""Means, deviations and effect sizes from sums of moments are those of explicit loops over pairs, to 1e-9."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moexray.stats.pairs.similarity import similarity
from moexray.stats.pairs.summaries import PairSummary

from ..loops import effect_size, similarities_of_pairs

# Sizes of the categories, and the number of dimensions.
SHAPES = {
    "one prompt in a category": ((1, 5, 4), 8),
    "one prompt in each category": ((1, 1, 1, 1), 3),
    "one category": ((7,), 4),
    "two prompts of two categories": ((1, 1), 5),
    "two prompts of one category": ((2,), 5),
    "two categories": ((7, 5), 6),
    "more prompts than dimensions": ((20, 15, 10), 3),
    "fewer prompts than dimensions": ((3, 4, 2), 60),
    "as many prompts as dimensions": ((4, 4), 8),
    "extremely unequal categories, more prompts than dimensions": ((1, 2, 150), 5),
    "extremely unequal categories, fewer prompts than dimensions": ((1, 2, 60), 100),
}
KINDS = ("positive", "sparse", "signed")


def made(sizes: Sequence[int], dimensions: int, *, kind: str, seed: int) -> tuple[np.ndarray, list[str]]:
    """Prompts in mixed order; sparse ones often share no expert, signed ones may be opposed."""
    rng = np.random.default_rng(seed)
    labels = [str(label) for label in rng.permutation([f"c{c}" for c, size in enumerate(sizes) for _ in range(size)])]
    vectors = rng.random((len(labels), dimensions))
    if kind == "signed":
        vectors -= 0.5
    if kind == "sparse":
        vectors *= rng.random(vectors.shape) < 0.3
        vectors[np.arange(len(labels)), rng.integers(dimensions, size=len(labels))] += 0.1
    return vectors, labels


def assert_equal(summary: PairSummary, values: Sequence[float]) -> None:
    assert summary.pairs == len(values)
    assert summary.mean == (pytest.approx(np.mean(values), abs=1e-9, rel=0) if values else None)
    assert summary.std == (pytest.approx(np.std(values, ddof=1), abs=1e-9, rel=0) if len(values) > 1 else None)


def assert_that_of_loops(vectors: np.ndarray, labels: Sequence[str]) -> None:
    """Compare every value; d is left undefined where a kind has fewer than two pairs or no pair differs."""
    expected, found = similarities_of_pairs(vectors, labels), similarity(vectors, labels)
    within, across = expected["within"], expected["across"]
    assert_equal(found.within, within)
    assert_equal(found.across, across)
    assert list(found.by_category) == sorted(set(labels))
    for name, summary in found.by_category.items():
        assert_equal(summary, expected[name])
    assert list(found.by_pair) == list(combinations(sorted(set(labels)), 2))
    for (first, second), summary in found.by_pair.items():
        assert_equal(summary, expected[f"{first}|{second}"])
    n, m = len(within), len(across)
    squares = sum(float(np.var(values) * len(values)) for values in (within, across) if values)
    if min(n, m) < 2 or squares < 1e-20:
        assert found.cohens_d is None
    else:
        assert found.cohens_d == pytest.approx(effect_size(within, across), abs=1e-9, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_value_equals_that_of_explicit_loops(shape: str, kind: str) -> None:
    assert_that_of_loops(*made(*SHAPES[shape], kind=kind, seed=1))


@pytest.mark.parametrize(("spread", "rounding"), [(1e-3, 1e-7), (1e-5, 1e-3)])
def test_signatures_that_are_almost_the_same_keep_their_spread(spread: float, rounding: float) -> None:
    """Their similarities differ in the seventh or in the eleventh digit only."""
    vectors = 1 + spread * np.random.default_rng(0).random((12, 20))
    labels = ["code"] * 4 + ["math"] * 3 + ["story"] * 5
    expected, found = similarities_of_pairs(vectors, labels), similarity(vectors, labels)
    for summary, values in ((found.within, expected["within"]), (found.across, expected["across"])):
        assert summary.mean == pytest.approx(np.mean(values), rel=1e-12)
        assert summary.std == pytest.approx(np.std(values, ddof=1), rel=rounding)
    assert found.cohens_d == pytest.approx(effect_size(expected["within"], expected["across"]), abs=rounding)


def test_what_rounding_leaves_where_terms_cancel_is_no_spread() -> None:
    """Two pairs that are equally alike, in a shape whose sums are of terms three thousand times as large."""
    assert_that_of_loops(*made([8, 2, 2, 1], 2, kind="sparse", seed=3000))


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    dimensions=st.integers(2, 12),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_value_equals_that_of_explicit_loops_at_any_shape(
    sizes: list[int], dimensions: int, kind: str, seed: int
) -> None:
    assert_that_of_loops(*made(sizes, dimensions, kind=kind, seed=seed))


@pytest.mark.parametrize("dimensions", [1, 3, 40])
def test_equal_vectors_have_similarity_one_no_spread_and_no_effect_size(dimensions: int) -> None:
    vectors = np.outer(np.arange(1, 13), 1 + np.arange(dimensions))  # of different lengths, in one direction
    assert_that_of_loops(vectors.astype(np.float64), ["a", "b", "b"] * 4)


@settings(max_examples=100)
@given(
    sizes=st.tuples(st.integers(2, 9), st.integers(2, 9)), dimensions=st.integers(2, 30), seed=st.integers(0, 2**32 - 1)
)
def test_categories_of_equal_vectors_have_no_spread_and_no_effect_size(
    sizes: tuple[int, int], dimensions: int, seed: int
) -> None:
    """All pairs within have similarity one and all across another: no deviation is left to divide by."""
    centres = np.random.default_rng(seed).random((2, dimensions))
    assert_that_of_loops(np.repeat(centres, sizes, axis=0), ["a"] * sizes[0] + ["b"] * sizes[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_zeros_is_refused_and_named(shape: str) -> None:
    vectors, labels = made(*SHAPES[shape], kind="positive", seed=1)
    vectors[-1] = 0
    with pytest.raises(ValueError, match=f"row {len(labels) - 1} is zero"):
        similarity(vectors, labels)
