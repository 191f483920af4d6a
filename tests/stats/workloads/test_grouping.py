"""Batches of similar prompts are partitions, follow similarity, and read what a loop over their members counts."""

import numpy as np
import pytest

from moexray.stats.workloads.grouping import nearest_batches, packed, two_means, union_sizes, without_repeats


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_unions_are_those_of_sets(rng: np.random.Generator) -> None:
    chosen = rng.random((12, 3, 70)) < 0.2
    bits = packed(chosen).reshape(12, -1)
    batches = np.array([[0, 1, 2], [3, 3, 3], [4, 11, 7]])
    expected = [chosen[batch].any(axis=0).sum() for batch in batches]
    assert union_sizes(bits, batches).tolist() == expected


def test_many_batches_are_counted_some_at_a_time(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = packed(rng.random((12, 70)) < 0.2)
    batches = rng.integers(0, 12, (50, 4))
    at_once = union_sizes(bits, batches)
    monkeypatch.setattr("moexray.stats.workloads.grouping._WORDS_AT_ONCE", 20)
    assert np.array_equal(union_sizes(bits, batches), at_once)


def test_batches_are_those_of_the_loop_that_defines_them(rng: np.random.Generator) -> None:
    similarity = rng.random((17, 17))
    orders = np.array([rng.permutation(17) for _ in range(3)])
    found = nearest_batches(similarity, orders, 5)
    for order, batches in zip(orders, found, strict=True):
        left = order[:15].tolist()
        for batch in batches:
            first = left.pop(0)
            near = sorted(left, key=lambda one: -similarity[first, one])[:4]
            left = [one for one in left if one not in near]
            assert set(batch.tolist()) == {first, *near}


def test_groups_that_are_alike_are_found(rng: np.random.Generator) -> None:
    kinds = np.repeat(np.arange(4), 6)
    similarity = (kinds[:, None] == kinds) + 0.1 * rng.random((24, 24))
    (found,) = nearest_batches(similarity, rng.permutation(24)[None], 6)
    assert all(len(set(kinds[batch])) == 1 for batch in found)


def test_two_means_finds_two_kinds_and_keeps_their_sizes(rng: np.random.Generator) -> None:
    kinds = np.array([rng.permutation(np.repeat([0, 1], 5)) for _ in range(20)])
    centres = rng.random((2, 200)) < 0.5
    rows = (centres[kinds] ^ (rng.random((20, 10, 200)) < 0.1)).astype(np.int64)
    first = two_means(np.einsum("pie,pje->pij", rows, rows), 5)
    assert (first.sum(axis=1) == 5).all()
    assert all(len(set(kind[half])) == 1 for kind, half in zip(kinds, first, strict=True))


def test_two_means_ends_where_each_row_is_nearer_to_its_own_mean(rng: np.random.Generator) -> None:
    """Exchanging a row of one half for a row of the other never brings both nearer to the means, as they are."""
    rows = (rng.random((30, 8, 60)) < 0.2).astype(np.int64)
    first = two_means(np.einsum("pie,pje->pij", rows, rows), 4)
    for of_problem, half in zip(rows, first, strict=True):
        means = [of_problem[one].mean(axis=0) for one in (half, ~half)]
        gain = np.array([((row - means[0]) ** 2).sum() - ((row - means[1]) ** 2).sum() for row in of_problem])
        assert gain[half].max() <= gain[~half].min() + 1e-9


def test_equal_batches_are_counted_once() -> None:
    different, places = without_repeats([np.array([[[1, 2], [4, 3]]]), np.array([[2, 1], [0, 5]])])
    assert different.tolist() == [[0, 5], [1, 2], [3, 4]]
    assert [one.tolist() for one in places] == [[1, 2], [1, 0]]
