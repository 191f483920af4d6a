"""The category effect on similarity, adjusted for other similarities of the prompts, such as that of words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.pair_fit import PairFit
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of

# Numbers in the matrices that are permuted together: few enough to stay in a processor's cache.
_TOGETHER = 2**15
# Sums of squares below this share are rounding.
_NEGLIGIBLE = 1e-18
# Signs that leave every pair as it is give a t that differs by rounding only.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PartialEffect:
    """How much more similar two prompts of one category are than two of different categories.

    Attributes
    ----------
    category_effect
        With the covariates held fixed.
    unadjusted
        Without covariates: mean within minus mean across, where categories have the same number of prompts.
    p_value
        One-sided, of `category_effect`.
    permutations
        Number of random changes of sign.
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
    groups: Sequence[str] | None = None,
    features: NDArray[np.float64] | None = None,
) -> PartialEffect:
    """Regress similarity on "same category" and on covariates, over pairs of prompts of different units.

    Each prompt may be more similar, or less, to all others alike, so that a constant added to all signatures changes
    nothing (`PairFit`). With y and x the residuals of similarity and of "same category" on all that is held fixed, the
    effect is b = Σ x y / Σ x², over pairs.

    Pairs depend on each other through the units that they share, so b is divided by its dyadic-robust standard error:
    with s(u, v) the sum of x (y − b x) over the pairs of units u and v, the variance of Σ x y is
    Σ_u (Σ_v s(u, v))² − Σ_{u<v} s(u, v)² (M. Fafchamps and F. Gubert, Journal of Development Economics 83, 2007;
    P. Aronow, C. Samii and V. Assenova, Political Analysis 23, 2015), and at least half of the first sum, which is what
    it is where pairs alone vary and units do not.

    p compares that ratio with its values after every unit keeps or changes the sign of what it has beyond all that is
    held fixed, at random: y(p, q) becomes w(p) w(q) y(p, q), and what is held fixed is taken away anew (the wild
    bootstrap of C. Wu, Ann. Stat. 14, 1986, here of a degenerate U-statistic as by A. Leucht and M. Neumann, Journal of
    Multivariate Analysis 117, 2013). The labels stay. That matters: categories that differ in words and length leave a
    "same category" that has little to do with most pairs, and much with a few, often those of the shortest and noisiest
    prompts. Its standard error is too small then, which no permuted labels show, since they have nothing to do with
    words and length and are spread evenly over all pairs. A change of sign keeps both that "same category" and how much
    each prompt varies.

    Parameters
    ----------
    similarities
        Similarities of signatures ``(prompts, prompts)``, symmetric; the diagonal is ignored. For a test that unequal
        spread or length does not mislead, inner products: `moexray.stats.categories.surface.signature_products`.
    labels
        The category of each prompt.
    covariates
        Symmetric matrices ``(prompts, prompts)`` to hold fixed, such as the similarity of words.
    permutations, rng
        Number of random changes of sign, and their seed or generator.
    groups
        The group of each prompt; an empty name is no group. Two prompts of one group make no pair.
    features
        Of single prompts, such as length ``(prompts, features)``: a linear effect on signatures is held fixed.

    Raises
    ------
    NotComputable
        If the categories are a linear function of the covariates, there are fewer pairs than terms, or nothing is left
        of the similarities.
    """
    units = units_of(labels, groups)
    units.check_pairs()
    fit = PairFit.of(units.units, np.zeros((len(labels), 0)) if features is None else features)
    basis = _basis(fit, covariates)
    freedom = fit.pairs.sum() / 2 - fit.terms - len(basis) - 1
    if freedom < 1:
        message = "it needs pairs within and across categories, and more pairs than covariates"
        raise NotComputable(message)
    outcome = _without(fit.residuals(similarities)[None], basis)[0]
    if (outcome**2).sum() <= _NEGLIGIBLE * ((similarities * fit.pairs) ** 2).sum():
        message = "nothing is left of the similarities when the covariates are held fixed"
        raise NotComputable(message)
    same = (units.categories[:, None] == units.categories) * fit.pairs
    rest = _without(fit.residuals(same)[None], basis)[0]
    if (rest**2).sum() <= 1e-12 * fit.pairs.sum():
        message = "the categories are a linear function of the covariates"
        raise NotComputable(message)
    return PartialEffect(
        category_effect=float((rest * outcome).sum() / (rest**2).sum()),
        unadjusted=_unadjusted(similarities, same, units),
        p_value=_p_value(fit, basis, (rest, outcome), units=units, permutations=permutations, rng=rng),
        permutations=permutations,
    )


def _unadjusted(similarities: NDArray[np.float64], same: NDArray[np.float64], units: Units) -> float:
    fit = PairFit.of(units.units, np.zeros((len(same), 0)))
    rest = fit.residuals(same)
    return float((rest * fit.residuals(similarities)).sum() / (rest**2).sum())


def _p_value(
    fit: PairFit,
    basis: NDArray[np.float64],
    residuals: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    units: Units,
    permutations: int,
    rng: int | np.random.Generator,
) -> float:
    """Return the share of changes of sign whose t is at least that of residuals as they are, themselves among them.

    `residuals` are those of "same category" and of similarity, ``(prompts, prompts)`` each.
    """
    rest, outcome = residuals
    generator, together = np.random.default_rng(rng), max(1, _TOGETHER // outcome.size)
    observed = float(_t(rest, outcome[None], units)[0])
    found = []
    for start in range(0, permutations, together):
        drawn = generator.choice([-1.0, 1.0], size=(min(together, permutations - start), len(units)))
        signs = drawn[:, units.units]
        changed = signs[:, :, None] * outcome * signs[:, None]
        found.append(_t(rest, _without(fit.residuals(changed), basis), units))
    return p_value(observed - _ROUNDING * (1 + abs(observed)), np.concatenate(found))


def _t(rest: NDArray[np.float64], outcomes: NDArray[np.float64], units: Units) -> NDArray[np.float64]:  # (outcomes,)
    """Divide the effects of "same category" on outcomes ``(outcomes, prompts, prompts)`` by their standard errors.

    Both sums run over every pair twice.
    """
    product = np.einsum("ij,bij->b", rest, outcomes)
    effect = product / (rest**2).sum()
    scores = effect[:, None, None] * rest
    np.subtract(outcomes, scores, out=scores)
    scores *= rest
    if units.design != "independent":
        scores = _sums(scores, units)
    of_units = (scores.sum(axis=2) ** 2).sum(axis=1)
    of_pairs = np.einsum("bij,bij->b", scores, scores) / 2
    variance = np.maximum(of_units - of_pairs, of_units / 2)
    return np.asarray(product / (2 * np.sqrt(np.maximum(variance, 1e-300))))


def _sums(scores: NDArray[np.float64], units: Units) -> NDArray[np.float64]:  # (outcomes, units, units)
    """Sum the scores of pairs of prompts over the pairs of their units."""
    marks = np.eye(len(units))[units.units]
    return np.asarray(marks.T @ scores @ marks)


def _without(values: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the projections of matrices ``(…, prompts, prompts)`` on a basis ``(covariates, prompts, prompts)``."""
    flat, columns = values.reshape(len(values), -1), basis.reshape(len(basis), values[0].size)
    projected = (flat @ columns.T) @ columns
    np.subtract(flat, projected, out=projected)
    return np.asarray(projected.reshape(values.shape))


def _basis(fit: PairFit, covariates: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Orthonormal matrices of the same span as covariates without what the fit explains; dependent ones are dropped."""
    prompts = len(fit.pairs)
    left = []
    for covariate in covariates:
        residuals = fit.residuals(covariate)
        length = float(np.linalg.norm(residuals))
        if length > _ROUNDING * float(np.linalg.norm(covariate * fit.pairs)):
            left.append(residuals.ravel() / length)
    if not left:
        return np.zeros((0, prompts, prompts))
    directions, lengths, _ = np.linalg.svd(np.column_stack(left), full_matrices=False)
    return np.asarray(directions[:, lengths > _ROUNDING * lengths.max()].T.reshape(-1, prompts, prompts))
