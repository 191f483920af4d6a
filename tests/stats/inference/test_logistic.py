"""Regressions that are fitted together are those that scikit-learn fits one by one."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from moexray.stats.inference.logistic import fit_logistic


def scores(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:  # (rows, categories), centred
    found = rows @ weights[:-1] + weights[-1]
    return found - found.mean(axis=1, keepdims=True)


def scikit_learn(rows: np.ndarray, truth: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Scores of the same objective, solved by another method to a strict tolerance."""
    found = LogisticRegression(solver="newton-cg", tol=1e-9, max_iter=1_000).fit(rows, truth).decision_function(unseen)
    found = np.column_stack([-found / 2, found / 2]) if found.ndim == 1 else found
    return found - found.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("categories", [2, 3, 5])
@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("features", [1, 4, 60])
def test_scores_are_those_of_scikit_learn(categories: int, scale: float, features: int) -> None:
    """The penalty makes the loss at least as curved as ½|w|², so a gradient of g leaves weights off by at most |g|."""
    rng = np.random.default_rng([categories, features])
    rows = scale * rng.normal(size=(4, 40, features)) * rng.uniform(0.1, 3, size=features)
    truth = np.array([rng.permutation(np.arange(40) % categories) for _ in range(4)])
    unseen = scale * rng.normal(size=(30, features))
    for weights, own, labels in zip(fit_logistic(rows, truth, categories), rows, truth, strict=True):
        expected = scikit_learn(own, labels, unseen)
        allowed = 1e-7 * len(own) * np.linalg.norm(unseen, axis=1).max() + 1e-4
        np.testing.assert_allclose(scores(weights, unseen), expected, rtol=0, atol=allowed)


def test_a_regression_is_the_same_alone_and_beside_larger_ones() -> None:
    rng = np.random.default_rng(0)
    rows, truth = rng.normal(size=(3, 20, 6)), rng.integers(3, size=(3, 20))
    truth[0, 12:] = -1
    rows[0, 12:] = 7  # what stands where there is no row must not matter
    alone = fit_logistic(rows[:1, :12], truth[:1, :12], 3)[0]
    np.testing.assert_allclose(fit_logistic(rows, truth, 3)[0], alone, atol=1e-5)


def test_a_category_that_is_not_there_is_never_likely() -> None:
    rng = np.random.default_rng(1)
    rows, truth = rng.normal(size=(1, 20, 3)), np.arange(20)[None] % 2 * 2  # categories 0 and 2 of three
    found = fit_logistic(rows, truth, 3)[0]
    named = scores(found, 3 * rng.normal(size=(200, 3))).argmax(axis=1)
    assert set(named) == {0, 2}


def test_the_gradient_vanishes_even_where_rows_can_be_told_apart_without_error() -> None:
    """−Σ x (marks − softmax) + w = 0 for the weights; for the intercepts, as many expected as there are."""
    rng = np.random.default_rng(2)
    rows, truth = 30 * rng.normal(size=(1, 25, 200)), np.arange(25)[None] % 4
    weights = fit_logistic(rows, truth, 4)[0]
    raised = np.exp(rows[0] @ weights[:-1] + weights[-1])
    missed = raised / raised.sum(axis=1, keepdims=True) - np.eye(4)[truth[0]]
    np.testing.assert_allclose(rows[0].T @ missed + weights[:-1], 0, atol=1e-6)
    np.testing.assert_allclose(missed.sum(axis=0), 0, atol=1e-6)
