"""Residual test: whether routing depends on category beyond token identity, by a permutation test given the ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.multiple import max_t_p_values
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of
from moexray.stats.tokens.expected import parts_of, products_of, scaled_residuals, summed_by_unit
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

    Labels are permuted over parts (see `moexray.stats.inference.units`), of which Z has a row each; a unit is one
    cluster, so that ψ is summed over its parts.

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
        If there is one category only, or no id occurs in two categories.
    """
    units = units_of(labels, groups)
    categories = len(units.names)
    if categories < 2:
        message = "there is one category only"
        raise NotComputable(message)
    joined, places = joined_rows(rows, units.parts)
    size = len(joined.ids)
    parts = [_products(joined, sum_at(places, layer, size), units) for layer in selections]
    products = np.array([part[0] for part in parts])
    variances = np.array([part[1] for part in parts])
    products, variances = (np.concatenate([each, each.sum(axis=0)[None]]) for each in (products, variances))
    together = max(1, _MOST_NUMBERS // (len(units.part_units) * categories))
    found = np.concatenate(
        [
            np.column_stack([_statistics(marks, *layer) for layer in zip(products, variances, strict=True)])
            for block in units.labelings(permutations, rng, first=True)
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
        yield (part.T[..., None] == np.arange(categories)).astype(np.float64)  # (parts, labelings, categories)


def _products(
    rows: TokenRows, selections: NDArray[np.float64], units: Units
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (parts, parts) each
    """Return the matrices G and K of one layer."""
    own, every, size = rows.occurrences.astype(np.float64), rows.totals, len(units.part_units)
    residuals = selections - (own / every)[:, None] * rows.by_id(selections)[rows.ids]
    scaled = scaled_residuals(rows, selections, units.part_units)
    together = sum_at(rows.prompts, residuals, size)
    scores = parts_of(rows, scaled, own / every, size)
    scores[np.arange(size), np.arange(size)] -= sum_at(rows.prompts, scaled, size)
    return together @ together.T, products_of(summed_by_unit(scores, units.part_units))


def _statistics(
    marks: NDArray[np.float64], products: NDArray[np.float64], variances: NDArray[np.float64]
) -> NDArray[np.float64]:  # (labelings,)
    """Compute tr(V⁺ Q Q') for each labeling."""

    def between(matrix: NDArray[np.float64]) -> NDArray[np.float64]:  # (labelings, categories, categories)
        along = (matrix @ marks.reshape(len(matrix), -1)).reshape(marks.shape)
        return np.asarray(marks.transpose(1, 2, 0) @ along.transpose(1, 0, 2))

    inverse = np.linalg.pinv(between(variances), rcond=_NEGLIGIBLE, hermitian=True)
    return np.asarray(np.einsum("bcd,bdc->b", inverse, between(products)))
