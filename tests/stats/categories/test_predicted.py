"""What other prompts say of a prompt's routing: neither prompt of a pair has a part in what is predicted of the two."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from moexray.stats.categories.predicted import best_smoother, predicted_products
from moexray.stats.inference.units import Units, units_of

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def independent(rows: int) -> Units:
    return units_of(["ab"[i % 2] for i in range(rows)])


def refitted(points: np.ndarray, values: np.ndarray, rows: list[int], penalty: float) -> np.ndarray:
    """Predict rows by scikit-learn's kernel ridge of all others, as their distance from the mean of those others."""
    others = np.setdiff1d(np.arange(len(points)), rows)
    centred = points - points[others].mean(axis=0)
    ridge = KernelRidge(alpha=penalty).fit(centred[others], values[others] - values[others].mean(axis=0))
    return np.asarray(ridge.predict(centred[rows]))


@pytest.mark.parametrize("groups", [None, [f"g{i // 3}" for i in range(12)]])
def test_two_prompts_are_predicted_as_if_neither_had_ever_been_there(groups: list[str] | None) -> None:
    """Nor any prompt of their groups."""
    rng = np.random.default_rng(2)
    points = rng.random((12, 3))
    values = rng.random((12, 2)) + points[:, :2]
    units = units_of(["ab"[i // 6] for i in range(12)], groups)
    members = [np.flatnonzero(units.units == unit).tolist() for unit in range(len(units))]
    errors = []
    for penalty in PENALTIES:
        left = [refitted(points, values, rows, penalty) + np.delete(values, rows, 0).mean(0) - values[rows]
                for rows in members]  # fmt: skip
        errors.append(sum((one**2).sum() for one in left))
    best = PENALTIES[int(np.argmin(errors))]
    expected = np.zeros((12, 12))
    for first, second in combinations_with_replacement(members, 2):
        rows = sorted({*first, *second})
        predicted = dict(zip(rows, refitted(points, values, rows, best), strict=True))
        for i in first:
            for j in second:
                expected[i, j] = expected[j, i] = predicted[i] @ predicted[j]
    np.testing.assert_allclose(predicted_products(values, points @ points.T, units, rng=0), expected, atol=1e-9)


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0])
def test_a_kernel_in_which_all_prompts_are_alike_predicts_nothing(shared: float) -> None:
    """As where no two prompts share a word: not even minus what the prompts themselves are."""
    values = np.random.default_rng(0).random((20, 6))
    kernel = np.full((20, 20), shared) + np.eye(20)
    np.testing.assert_allclose(predicted_products(values, kernel, independent(20), rng=0), 0, atol=1e-12)


def test_a_prompt_has_no_part_in_its_own_pairs() -> None:
    """Whatever its routing, what is predicted of its pairs stays."""
    rng = np.random.default_rng(1)
    points, values = rng.random((15, 2)), rng.random((15, 4))
    kernel, units = points @ points.T, independent(15)
    folds = [np.array([i]) for i in range(15)]
    other = values.copy()
    other[3] += 0.01 * rng.random(4)
    np.testing.assert_array_equal(best_smoother(values, kernel, folds), best_smoother(other, kernel, folds))
    before, after = (predicted_products(each, kernel, units, rng=0) for each in (values, other))
    np.testing.assert_allclose(before[3], after[3], atol=1e-12)
    assert abs(before[4, 5] - after[4, 5]) > 1e-6


def test_what_the_kernel_tells_is_predicted() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(60, 2))
    values = points @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(60, 8))
    predicted = predicted_products(values, points @ points.T, independent(60), rng=0)
    centred = values - values.mean(axis=0)
    upper = np.triu_indices(60, 1)
    assert np.corrcoef(predicted[upper], (centred @ centred.T)[upper])[0, 1] > 0.95
