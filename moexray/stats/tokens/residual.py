"""Residual test: whether routing depends on category beyond token identity, by a permutation test given the ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers, exchange_units
from moexray.stats.inference.multiple import max_t_p_values
from moexray.stats.inference.permutation import p_value, shuffled_labels
from moexray.stats.tokens.expected import parts_of, products_of, scaled_residuals
from moexray.stats.tokens.sums import TokenRows, joined_rows, sum_at

_MOST_NUMBERS = 2**22
_NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class ResidualTest:
    """The p-value of all layers together, of each layer, and of each layer adjusted for the number of layers."""

    p_value: float
    p_values: tuple[float, ...]
    adjusted: tuple[float, ...]
    permutations: int


def residual_test(
    rows: TokenRows,
    selections: Iterable[NDArray[np.float64]],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
    groups: Sequence[str] | None = None,
) -> ResidualTest:
    """Test whether a category's tokens deviate together from the mean routing of their ids.

    The model is a regression of a token's experts on its id (an intercept for every id) and its category. The score of
    category c is Q_c = Σ_p z_pc ρ_p, with z the category indicators and ρ_p the summed residuals of prompt p. Its
    variance, with prompts as clusters, is V_cd = Σ_p ψ_pc·ψ_pd, with ψ_pc = Σ_t ε_tp (z_pc − f_tc), where f_tc is the
    share of id t's occurrences that are in category c, and ε_tp a leverage-adjusted residual (HC2: J. MacKinnon and
    H. White, Journal of Econometrics 29, 1985; for clusters R. Bell and D. McCaffrey, Survey Methodology 28, 2002). The
    statistic is tr(V⁺ Q Q').

    V = Z'KZ and Q Q' = Z'GZ, with K and G matrices of prompts by prompts that do not depend on the labels. So the
    statistic is recomputed for every permutation, and ids are adjusted for under each labeling as under the observed
    one. Permuting the labels of fixed residual signatures instead gives p-values far from uniform, because prompts that
    share tokens share estimation errors.

    The prompts of a group count as one prompt: they are one cluster, and their labels are permuted together.

    Parameters
    ----------
    rows
        Token counts of all prompts, numbered as in `labels`.
    selections
        The expert counts of each layer ``(rows, experts)``.
    labels
        The category of each prompt.
    permutations, rng
        Number of permutations, and their seed or generator.
    groups
        The group of each prompt; an empty name is no group.

    Raises
    ------
    NotComputable
        If there is one category only, no id occurs in two categories, or a group holds several categories.
    """
    categories = len(set(labels))
    if categories < 2:
        message = "there is one category only"
        raise NotComputable(message)
    units, numbers = exchange_units(labels, groups)
    joined, places = joined_rows(rows, units)
    size = len(joined.ids)
    parts = [_products(joined, sum_at(places, layer, size), len(numbers)) for layer in selections]
    products = np.array([part[0] for part in parts])
    variances = np.array([part[1] for part in parts])
    products, variances = (np.concatenate([each, each.sum(axis=0)[None]]) for each in (products, variances))
    names = [str(number) for number in numbers]
    blocks = chain([category_numbers(names)[None]], shuffled_labels(names, permutations=permutations, rng=rng))
    together = max(1, _MOST_NUMBERS // (len(names) * categories))
    found = np.concatenate(
        [
            np.column_stack([_statistics(marks, *layer) for layer in zip(products, variances, strict=True)])
            for block in blocks
            for marks in _marks(block, together, categories)
        ]
    )
    if not found[0].any():
        message = "no token id occurs in two categories"
        raise NotComputable(message)
    tests = max_t_p_values(found[:, :-1])
    return ResidualTest(
        p_value=p_value(float(found[0, -1]), found[1:, -1]),
        p_values=tuple(tests.p_values),
        adjusted=tuple(tests.adjusted),
        permutations=permutations,
    )


def _marks(block: NDArray[np.int32], size: int, categories: int) -> Iterable[NDArray[np.float64]]:
    for start in range(0, len(block), size):
        part = block[start : start + size]
        yield (part.T[..., None] == np.arange(categories)).astype(np.float64)  # (prompts, labelings, categories)


def _products(
    rows: TokenRows, selections: NDArray[np.float64], prompts: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices G and K of one layer."""
    own = rows.occurrences.astype(np.float64)
    every = rows.totals
    residuals = selections - (own / every)[:, None] * rows.by_id(selections)[rows.ids]
    scaled = scaled_residuals(rows, selections)
    together = sum_at(rows.prompts, residuals, prompts)
    scores = parts_of(rows, scaled, own / every, prompts)
    scores[np.arange(prompts), np.arange(prompts)] -= sum_at(rows.prompts, scaled, prompts)
    return together @ together.T, products_of(scores)


def _statistics(
    marks: NDArray[np.float64], products: NDArray[np.float64], variances: NDArray[np.float64]
) -> NDArray[np.float64]:  # (labelings,)
    """Compute tr(V⁺ Q Q') for each labeling."""

    def between(matrix: NDArray[np.float64]) -> NDArray[np.float64]:  # (labelings, categories, categories)
        along = (matrix @ marks.reshape(len(matrix), -1)).reshape(marks.shape)
        return np.asarray(marks.transpose(1, 2, 0) @ along.transpose(1, 0, 2))

    inverse = np.linalg.pinv(between(variances), rcond=_NEGLIGIBLE, hermitian=True)
    return np.asarray(np.einsum("bcd,bdc->b", inverse, between(products)))
