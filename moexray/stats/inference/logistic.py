"""Multinomial logistic regressions, fitted many at once by Newton's method.

A permutation test of a classifier fits thousands of small regressions. In a general solver most of their time would be
the overhead of iterations; stacked, all take their Newton steps in the same few matrix products.
"""

import numpy as np
from numpy.typing import NDArray

# Of the gradient's length for each row.
TOLERANCE = 1e-8
_MOST_STEPS = 100
_MOST_DIRECTIONS = 200
# The share of the descent predicted by the slope that a step must keep (L. Armijo, Pacific J. Math. 16, 1966).
_KEPT_DESCENT = 1e-4
# Relative to a loss: what rounding may add to it, and that in units of the type's precision where it is coarse.
_ROUNDING, _ROUNDING_UNITS = 1e-10, 64


def fit_logistic(
    rows: NDArray[np.floating], truth: NDArray[np.integer], categories: int, *, tolerance: float = TOLERANCE
) -> NDArray[np.floating]:  # (regressions, features + 1, categories)
    """Fit logistic regressions with an L2 penalty (C = 1) on all weights but the intercepts.

    Each minimises −Σ log p(truth | row) + ½ Σ w², with p the softmax of ``row @ w + intercept``. For two categories
    the penalty is doubled, which makes the two weight vectors equivalent to the usual single one. Newton directions
    are found by conjugate gradients, stopped early far from the minimum (R. Dembo, S. Eisenstat and T. Steihaug, SIAM
    J. Numer. Anal. 19, 1982).

    Parameters
    ----------
    rows
        Features ``(regressions, rows, features)``, or ``(rows, features)`` where all regressions have the same, which
        is several times as fast; coordinates along principal axes make the fit fast. Everything is computed in their
        precision.
    truth
        The category of each row ``(regressions, rows)``, from 0 to ``categories - 1``; −1 marks padding, in
        regressions of fewer rows.
    categories
        Number of categories.
    tolerance
        The length of the gradient, for each row, at which a fit ends.

    Returns
    -------
    The weights of each regression; the last row is the intercepts.
    """
    extended = np.concatenate([rows, np.ones_like(rows, shape=(*rows.shape[:-1], 1))], axis=-1)
    penalty = np.full(extended.shape[-1], 2 if categories == 2 else 1, dtype=rows.dtype)
    penalty[-1] = 0
    one_hot = np.eye(categories + 1, dtype=rows.dtype)[:categories]  # zeros for −1
    marks = np.ascontiguousarray(one_hot[:, truth].transpose(1, 0, 2))
    weights = np.zeros((len(truth), categories, extended.shape[-1]), dtype=rows.dtype)
    left = np.arange(len(truth))
    problem: _Problem
    if rows.ndim == 2:
        problem = _OfSharedRows(extended, marks, penalty)
    else:
        problem = _Problem(extended * (truth >= 0)[:, :, None], marks, penalty)
    for _ in range(_MOST_STEPS):
        shares, gradient = problem.slope(weights[left])
        steep = np.linalg.norm(gradient, axis=(1, 2)) > tolerance * problem.numbers
        if not steep.any():
            break
        left, problem = left[steep], problem.of(steep)
        direction = problem.newton_direction(shares[steep], gradient[steep])
        weights[left] = problem.downhill(weights[left], direction, gradient[steep])
    return weights.swapaxes(1, 2)


def _softmax(scores: NDArray[np.floating]) -> NDArray[np.floating]:  # (regressions, categories, rows)
    """Probabilities of the categories."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return np.asarray(raised)


class _Problem:
    """The regressions that have not converged: rows with a one at the end, one-hot categories, and the penalty.

    Arrays have an axis of categories before that of rows or features: sums over a few categories are then fast.
    """

    def __init__(self, rows: NDArray[np.floating], marks: NDArray[np.floating], penalty: NDArray[np.floating]) -> None:
        self.rows, self.marks, self.penalty = rows, marks, penalty
        self.columns = np.ascontiguousarray(rows.swapaxes(-1, -2))
        self.squares = (rows**2).sum(axis=-2)[..., None, :]
        self.numbers = marks.sum(axis=(1, 2))  # rows without padding
        self.tiny = np.finfo(rows.dtype).tiny  # divisors are never zero

    def of(self, chosen: NDArray[np.bool_]) -> "_Problem":
        return self if chosen.all() else type(self)(self._rows_of(chosen), self.marks[chosen], self.penalty)

    def _rows_of(self, chosen: NDArray[np.bool_]) -> NDArray[np.floating]:
        return self.rows[chosen]

    def scores(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:  # (regressions, categories, rows)
        """Multiply the rows by weights ``(regressions, categories, features + 1)``."""
        return weights @ self.columns

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.floating]:  # (regressions, categories, features + 1)
        """Sum the rows, each times its value ``(regressions, categories, rows)``."""
        return values @ self.rows

    def slope(self, weights: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the probabilities of each row's categories, and the gradient of the loss."""
        shares = _softmax(self.scores(weights))
        # Padding rows are zero, so their probabilities do not matter.
        return shares, self.sums(shares - self.marks) + self.penalty * weights

    def loss(
        self, weights: NDArray[np.floating], scores: NDArray[np.floating]
    ) -> NDArray[np.floating]:  # (regressions,)
        highest = scores.max(axis=1)
        logarithms = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
        fit = logarithms.sum(axis=1) - (scores * self.marks).sum(axis=(1, 2))
        return np.asarray(fit + (self.penalty * weights**2).sum(axis=(1, 2)) / 2)

    def newton_direction(self, shares: NDArray[np.floating], gradient: NDArray[np.floating]) -> NDArray[np.floating]:
        """Solve H d = −g by conjugate gradients, preconditioned by H's diagonal at the rows' mean curvature."""
        curvature = (shares * (1 - shares)).mean(axis=(1, 2))[:, None, None]
        scale = 1 / np.maximum(curvature * self.squares + self.penalty, self.tiny)
        direction, residual = np.zeros_like(gradient), -gradient
        search = scale * residual
        size = _inner(residual, search)
        steepness = np.linalg.norm(gradient, axis=(1, 2))[:, None, None] / np.maximum(self.numbers, 1)[:, None, None]
        enough = np.minimum(0.09, steepness) * size
        for _ in range(_MOST_DIRECTIONS):
            going = size > enough
            if not going.any():
                break
            image = self._curved(search, shares)
            length = np.where(going, size / np.maximum(_inner(search, image), self.tiny), 0)
            direction += length * search
            residual -= length * image
            scaled = scale * residual
            after = np.where(going, _inner(residual, scaled), size)
            search *= after / np.maximum(size, self.tiny)
            search += scaled
            size = after
        return direction

    def _curved(self, search: NDArray[np.floating], shares: NDArray[np.floating]) -> NDArray[np.floating]:
        """Multiply by the Hessian without forming it."""
        scores = shares * self.scores(search)
        scores -= shares * scores.sum(axis=1, keepdims=True)
        return np.asarray(self.sums(scores) + self.penalty * search)

    def downhill(
        self, weights: NDArray[np.floating], direction: NDArray[np.floating], gradient: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Step along the direction, by backtracking line search."""
        scores, change = self.scores(weights), self.scores(direction)
        before, slope = self.loss(weights, scores), _inner(gradient, direction)[:, 0, 0]
        length = np.ones_like(weights, shape=(len(weights), 1, 1))
        rounding = max(_ROUNDING, _ROUNDING_UNITS * float(np.finfo(weights.dtype).eps))
        for _ in range(30):
            after = self.loss(weights + length * direction, scores + length * change)
            allowed = before + _KEPT_DESCENT * length[:, 0, 0] * slope + rounding * np.abs(before)
            if (after <= allowed).all():
                break
            length[after > allowed] /= 2
        return np.asarray(weights + length * direction)


class _OfSharedRows(_Problem):
    """Regressions of different categories on the same rows ``(rows, features + 1)``: one product serves them all."""

    def _rows_of(self, _chosen: NDArray[np.bool_]) -> NDArray[np.floating]:
        return self.rows

    def scores(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:
        return (weights.reshape(-1, weights.shape[2]) @ self.columns).reshape(*weights.shape[:2], -1)

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        return (values.reshape(-1, values.shape[2]) @ self.rows).reshape(*values.shape[:2], -1)


def _inner(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:  # (regressions, 1, 1)
    return np.asarray((first * second).sum(axis=(1, 2))[:, None, None])
