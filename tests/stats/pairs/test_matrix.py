"""A matrix of cosines is summarised and tested as the vectors are that it comes from."""

import numpy as np
import pytest

from moexray.stats.pairs.matrix import matrix_effect, matrix_permutation_test, matrix_similarity
from moexray.stats.pairs.shuffled import permutation_test
from moexray.stats.pairs.similarity import similarity, unit_rows

LABELS = [f"kind {i % 3}" for i in range(20)]
VECTORS = unit_rows(np.random.default_rng(0).random((20, 30)) + np.eye(3)[np.arange(20) % 3] @ np.ones((3, 30)))


def test_summaries_are_those_of_the_vectors() -> None:
    found, expected = matrix_similarity(VECTORS @ VECTORS.T, LABELS), similarity(VECTORS, LABELS)
    for one, other in ((found.within, expected.within), (found.across, expected.across)):
        assert (one.mean, one.std, one.pairs) == pytest.approx((other.mean, other.std, other.pairs))
        assert one.ci == pytest.approx(other.ci)
    assert found.cohens_d == pytest.approx(expected.cohens_d)
    assert matrix_effect(VECTORS @ VECTORS.T, LABELS) == pytest.approx(expected.cohens_d)
    assert found.cohens_d_ci == pytest.approx(expected.cohens_d_ci)


def test_the_permutation_test_is_that_of_the_vectors() -> None:
    found = matrix_permutation_test(VECTORS @ VECTORS.T, LABELS, permutations=99, rng=0)
    expected = permutation_test(VECTORS, LABELS, permutations=99, rng=0)
    assert found.observed == pytest.approx(expected.observed)
    assert found.p_value == expected.p_value


def test_the_diagonal_is_not_looked_at() -> None:
    matrix = VECTORS @ VECTORS.T
    other = matrix + np.diag(np.full(20, 9.0))
    assert matrix_similarity(other, LABELS) == matrix_similarity(matrix, LABELS)
