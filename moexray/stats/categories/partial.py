"""The category effect on similarity, adjusted for other similarities of the prompts, such as that of words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.permutation import p_value

_BLOCK = 50


@dataclass(frozen=True)
class PartialEffect:
    """How much more similar two prompts of one category are than two of different categories.

    Attributes
    ----------
    category_effect
        With the covariates held fixed.
    unadjusted
        Without covariates: mean within minus mean across.
    p_value
        One-sided, of `category_effect`.
    permutations
        Number of permutations.
    """

    category_effect: float
    unadjusted: float
    p_value: float
    permutations: int


def partial_effect(
    similarities: NDArray[np.float64],
    labels: Sequence[str],
    covariates: Sequence[NDArray[np.float64]],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> PartialEffect:
    """Regress similarity on "same category" and on covariates, over pairs; p by double semi-partialling.

    The entries of similarity matrices depend on each other. So the residuals of "same category" on the covariates are
    permuted over prompts, rows and columns together, and their t statistic is compared with the observed one
    (D. Dekker, D. Krackhardt and T. Snijders, Psychometrika 72, 2007).

    Parameters
    ----------
    similarities
        Similarities of signatures ``(prompts, prompts)``, symmetric; the diagonal is ignored.
    labels
        The category of each prompt.
    covariates
        Symmetric matrices ``(prompts, prompts)`` to hold fixed, such as the similarity of words.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If the categories are a linear function of the covariates, or there are fewer pairs than terms.
    """
    upper = np.triu_indices(len(labels), 1)
    numbers = category_numbers(labels)
    same = (numbers[:, None] == numbers[None]).astype(np.float64)
    held_fixed = np.column_stack([np.ones(len(upper[0])), *(covariate[upper] for covariate in covariates)])
    freedom = len(upper[0]) - held_fixed.shape[1] - 1
    if freedom < 1 or np.ptp(same[upper]) == 0:
        message = "it needs pairs within and across categories, and more pairs than covariates"
        raise NotComputable(message)
    basis = _basis(held_fixed)
    outcome = similarities[upper] - basis @ (basis.T @ similarities[upper])
    rest = same[upper] - basis @ (basis.T @ same[upper])
    if rest @ rest < 1e-12 * len(rest):
        message = "the categories are a linear function of the covariates"
        raise NotComputable(message)
    effect = float(rest @ outcome / (rest @ rest))
    observed = _t(rest @ outcome, rest @ rest, float(outcome @ outcome), freedom)
    fixed = [_square(values, upper) for values in (outcome, *basis.T)]
    generator = np.random.default_rng(rng)
    orders = (generator.permutation(len(labels)) for _ in range(permutations))
    null = _shuffled_t(_square(rest, upper), fixed, orders, freedom)
    return PartialEffect(
        category_effect=effect,
        unadjusted=float(similarities[upper][same[upper] == 1].mean() - similarities[upper][same[upper] == 0].mean()),
        p_value=p_value(float(observed), null),
        permutations=permutations,
    )


def _shuffled_t(
    rest: NDArray[np.float64],
    fixed: Sequence[NDArray[np.float64]],
    orders: Iterator[NDArray[np.int64]],
    freedom: int,
) -> NDArray[np.float64]:  # (orders,)
    """Permute rows and columns of `rest`, project out the basis, and compute t, for each order.

    `fixed` holds the outcome and the basis. All matrices are symmetric with a zero diagonal, so a sum over pairs is
    half of that over all entries.
    """
    columns = np.column_stack([matrix.ravel() for matrix in fixed])
    norm, variation = float((rest**2).sum()) / 2, float((fixed[0] ** 2).sum()) / 2
    found = []
    while block := list(islice(orders, _BLOCK)):
        products = np.stack([rest[np.ix_(order, order)].ravel() for order in block]) @ columns / 2
        found.append(_t(products[:, 0], norm - (products[:, 1:] ** 2).sum(axis=1), variation, freedom))
    return np.concatenate(found)


def _t(
    product: NDArray[np.float64], norm: NDArray[np.float64] | float, variation: float, freedom: int
) -> NDArray[np.float64]:
    """Return the t statistic of a slope from sums over pairs: x'y, x'x and y'y, of residuals."""
    return np.asarray(product / np.sqrt(norm * np.maximum(variation - product**2 / norm, 1e-300) / freedom))


def _basis(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal columns of the same span; linearly dependent columns are dropped."""
    left, lengths, _ = np.linalg.svd(columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300), full_matrices=False)
    return np.asarray(left[:, lengths > 1e-9 * lengths.max()])


def _square(values: NDArray[np.float64], upper: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.float64]:
    size = int(upper[1].max()) + 1
    square = np.zeros((size, size))
    square[upper] = values
    return square + square.T
