"""Least squares over pairs of prompts: what single prompts add to their pairs is taken away."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEGLIGIBLE = 1e-10


@dataclass(frozen=True, eq=False)
class PairFit:
    """The part of similarities that prompts have by themselves, over the pairs that count.

    It is the least-squares fit of y(p, q) ≈ Σ_j φ_j(p) g_j(q) + φ_j(q) g_j(p) with free numbers g_j(p) for each
    feature j and prompt p. The first feature is 1: a prompt may be more similar, or less, to all others alike.
    Together with the features of length, this is all that a linear effect of the features on signatures adds to their
    inner products, whatever the direction, and whatever constant is added to all signatures.

    Attributes
    ----------
    pairs
        1 where two prompts make a pair, else 0 ``(prompts, prompts)``.
    features
        ``(prompts, features)``.
    inverse
        Pseudoinverse of the normal equations ``(features * prompts, features * prompts)``.
    terms
        Free numbers in the fit.
    """

    pairs: NDArray[np.float64]
    features: NDArray[np.float64]
    inverse: NDArray[np.float64]
    terms: int

    @staticmethod
    def of(units: NDArray[np.integer], features: NDArray[np.float64]) -> "PairFit":
        """Make the fit for prompts of these units and features ``(prompts, features)``, without the constant one."""
        pairs = (units[:, None] != units[None]).astype(np.float64)
        with_one = np.column_stack([np.ones(len(units)), _standardised(features)])
        inverse, terms = _pseudoinverse(_normal_equations(pairs, with_one))
        return PairFit(pairs, with_one, inverse, terms)

    def residuals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:  # (…, prompts, prompts)
        """Return what the fit leaves of symmetric matrices ``(…, prompts, prompts)``; 0 where there is no pair."""
        held = values * self.pairs
        fitted = self.fitted(held)
        fitted *= self.pairs
        held -= fitted
        return np.asarray(held)

    def fitted(self, values: NDArray[np.float64]) -> NDArray[np.float64]:  # (…, prompts, prompts)
        """Return the fit to symmetric matrices that are 0 where there is no pair; there, too, it has some value."""
        prompts, features = self.features.shape
        sides = np.swapaxes(values @ self.features, -1, -2)
        numbers = (sides.reshape(*sides.shape[:-2], features * prompts) @ self.inverse).reshape(sides.shape)
        rows = np.broadcast_to(self.features, (*values.shape[:-1], features))
        left = np.concatenate([rows, np.swapaxes(numbers, -1, -2)], axis=-1)
        right = np.concatenate([numbers, np.swapaxes(rows, -1, -2)], axis=-2)
        return np.asarray(left @ right)


def _standardised(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre columns and scale them to a variance of 1; leave out those that do not vary."""
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > _NEGLIGIBLE * np.maximum(np.abs(features).max(axis=0, initial=0), 1)
    return np.asarray(centred[:, varies] / spread[varies])


def _normal_equations(pairs: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    prompts, number = features.shape
    equations = np.empty((number, prompts, number, prompts))
    for j, first in enumerate(features.T):
        for i, second in enumerate(features.T):
            equations[j, :, i] = np.diag(pairs @ (first * second)) + pairs * np.outer(second, first)
    return equations.reshape(number * prompts, number * prompts)


def _pseudoinverse(equations: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    roots, directions = np.linalg.eigh(equations)
    kept = roots > _NEGLIGIBLE * max(float(roots.max(initial=0)), 1e-300)
    inverse = (directions[:, kept] / roots[kept]) @ directions[:, kept].T
    return np.asarray(inverse), int(np.count_nonzero(kept))
