"""Whether what token identity leaves of routing goes with the category: a permutation test that holds ids fixed."""

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
    """The p-value of all layers together, that of each, and each corrected for their number."""

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
    """Test whether the residuals of a category's tokens, each less the mean of its id, add up to something.

    The effect of category on a token's experts is a regression with an own intercept for every id. Its score for
    category c is Q_c = Σ_p z_pc ρ_p, with ρ_p the residuals of prompt p, summed; its variance, with prompts as
    clusters, is V_cd = Σ_p ψ_pc·ψ_pd, with ψ_pc = Σ_t ε_tp (z_pc − f_tc), where f_tc is the share of id t's
    occurrences that are in c, and ε_tp a residual over the root of one less its leverage (HC2: J. MacKinnon and
    H. White, Journal of Econometrics 29, 1985; for clusters R. Bell and D. McCaffrey, Survey Methodology 28, 2002).
    The statistic is tr(V⁺ Q Q'). Both V and Q Q' are Z'KZ and Z'GZ, with matrices K and G of prompts by prompts that
    no label enters, so it is computed anew for every shuffle: what ids explain is taken away under each labeling as
    it is under the true one. Residual signatures whose similarity is compared under shuffled labels as if they were
    data give p-values that are far from uniform: prompts that share tokens share the errors of what is expected.

    A group's prompts count as one prompt: they are one cluster, and their labels move together.

    Parameters
    ----------
    rows
        Of all tokens; prompts are numbered as `labels`.
    selections
        The counts of each layer ``(rows, experts)``.
    labels
        The category of each prompt.
    permutations, rng
        Number of shuffles of labels over prompts, and their seed or generator.
    groups
        What belongs together; an empty name is no group.

    Raises
    ------
    NotComputable
        If there is one category only, no id is in two of them, or a group holds several.
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
