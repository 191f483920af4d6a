"""How alike two signatures would be if each were what other prompts say of its words and length."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units

_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_MOST_FOLDS = 20


def predicted_products(
    values: NDArray[np.float64], kernel: NDArray[np.float64], units: Units, *, rng: int | np.random.Generator
) -> NDArray[np.float64]:  # (prompts, prompts)
    """Multiply the predictions of every two rows, both made from prompts of other folds than those of the two.

    Units are put into at most 20 folds. For each pair of folds a kernel ridge regression on all others predicts how
    the rows of the two differ from the mean of those others. So neither row has a part in the two predictions: were
    each predicted from all rows but itself, the other would be among them, and the product would hold minus the
    product of the two rows themselves. Where a kernel says nothing of a row, its prediction is zero.

    Parameters
    ----------
    values
        ``(rows, dimensions)``.
    kernel
        Kernel matrix of the rows ``(rows, rows)``, symmetric and positive semidefinite.
    units
        Rows that share a fold.
    rng
        Seed or generator of the folds.
    """
    folds = _folds(units, np.random.default_rng(rng))
    smoother = best_smoother(values, kernel, folds)
    left = values - smoother @ values
    total = values.sum(axis=0)
    products = np.zeros(kernel.shape)
    for i, first in enumerate(folds):
        for second in folds[i:]:
            rows = first if second is first else np.concatenate([first, second])
            if len(rows) == len(values):
                continue  # nothing is left to predict from
            mean = (total - values[rows].sum(axis=0)) / (len(values) - len(rows))
            predicted = values[rows] - _errors(smoother, left, rows) - mean
            product = predicted[: len(first)] @ predicted[-len(second) :].T
            products[np.ix_(first, second)] = product
            products[np.ix_(second, first)] = product.T
    return products


def best_smoother(
    values: NDArray[np.float64], kernel: NDArray[np.float64], folds: list[NDArray[np.int64]]
) -> NDArray[np.float64]:  # (rows, rows)
    """Return the matrix that fits values by kernel ridge regression, with the penalty of least prediction error.

    Predictions of a fold need no refit: with H the matrix that maps values to fitted values, the errors of the rows S,
    predicted from all others, are (I − H_SS)⁻¹ (y − H y)_S (G. Golub, M. Heath and G. Wahba, Technometrics 21, 1979,
    for one row).

    Parameters
    ----------
    values, kernel
        See `predicted_products`.
    folds
        The rows of each fold.
    """
    best, least = np.zeros_like(kernel), np.inf
    for smoother in _smoothers(kernel):
        left = values - smoother @ values
        error = sum(float((_errors(smoother, left, rows) ** 2).sum()) for rows in folds)
        if error < least:
            best, least = smoother, error
    return best


def _smoothers(kernel: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    rows = len(kernel)
    centre = np.eye(rows) - 1 / rows
    roots, directions = np.linalg.eigh(centre @ kernel @ centre)
    roots = np.maximum(roots, 0)
    for penalty in _PENALTIES:
        yield (directions * (roots / (roots + penalty))) @ directions.T + 1 / rows


def _errors(
    smoother: NDArray[np.float64], left: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:  # (rows, dimensions)
    """Return the errors of rows that are predicted from all others."""
    own = np.eye(len(rows)) - smoother[np.ix_(rows, rows)]
    return np.asarray(np.linalg.solve(own, left[rows]))


def _folds(units: Units, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the rows of each fold: whole units, dealt out at random."""
    number = min(_MOST_FOLDS, len(units))
    fold = rng.permutation(len(units)) % number
    return [np.flatnonzero(fold[units.units] == one) for one in range(number)]
