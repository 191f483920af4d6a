"""Specialisation of experts: the share of a domain's, or a token id's, occurrences that select an expert."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.experts.unit_contrasts import UnitContrasts
from moexray.stats.inference.multiple import benjamini_hochberg
from moexray.stats.inference.units import Units, units_of

_LEAST_UNITS = 3
# Differences of shares below this are rounding, and squared errors below this share of the variance.
_ROUNDING, _LEAST_ERROR = 1e-12, 1e-16


def domain_specialisation(
    counts: NDArray[np.integer], tokens: NDArray[np.integer]
) -> NDArray[np.float64]:  # (domains, experts)
    """Return the share of each domain's tokens that select an expert: ``N(expert, domain) / N(domain)``.

    Section 5.3 of arXiv:2409.02060. Under uniform routing every share is k / number of experts.

    Parameters
    ----------
    counts
        Selections of one layer ``(domains, experts)``.
    tokens
        Tokens of each domain ``(domains,)``.
    """
    return np.asarray(counts / tokens[:, None])


def vocabulary_specialisation(
    counts: NDArray[np.integer], occurrences: NDArray[np.integer]
) -> NDArray[np.float64]:  # (ids, experts)
    """Return the share of each token id's occurrences that select an expert: ``N(token, expert) / N(token)``.

    Section 5.4 of arXiv:2409.02060, for input tokens or for generated ones, whichever are counted.

    Parameters
    ----------
    counts
        Selections of one layer ``(ids, experts)``.
    occurrences
        Occurrences of each id ``(ids,)``.
    """
    return np.asarray(counts / occurrences[:, None])


@dataclass(frozen=True)
class SpecialisationTests:
    """Tests of every expert: its share in the prompts of a category against its share in all others.

    Attributes
    ----------
    differences
        Mean share within the category minus mean share outside ``(categories, experts)``. Where groups hold several
        categories, it is the mean over groups of that difference.
    p_values
        Two-sided. Both are NaN for a category that is not tested.
    adjusted
        Benjamini–Hochberg adjusted p-values: among experts below 0.05, at most 5 % are expected to be false
        discoveries.
    permutations
        Number of permutations.
    untested
        Categories of fewer than three units, or outside of which there are fewer.
    """

    differences: NDArray[np.float64]
    p_values: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    permutations: int
    untested: tuple[str, ...] = ()


def specialisation_tests(
    shares: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    permutations: int,
    rng: int | np.random.Generator,
    exists: NDArray[np.bool_] | None = None,
) -> SpecialisationTests:
    """Compare each expert's share of selections in prompts of a category with that in all other prompts.

    The difference D is divided by its standard error, which allows for categories of unlike length and spread
    (Behrens–Fisher). The error of one expert in a few prompts is not known well enough for that: an expert that none of
    five prompts selects has none. But length and spread act on all experts alike: the variance of a share is φ·m(1 − m)
    with m its mean, where φ depends on the category. So the squared errors V of all experts are pooled, and p is the
    greater of two:

    * that of ``|D| / √ΣV``, from permuted labels,
    * that of ``|D| / √(m(1 − m) · ΣV / Σ m(1 − m))``, from the normal distribution, since of a few prompts that differ
      much one alone may hold most of an expert's selections, and permutations that move it say little.

    An expert whose share varies more, in one category alone, than m(1 − m) and the other experts say has a p that is
    too small.

    Labels are permuted over units, not tokens, since the tokens of a prompt depend on each other; see
    `moexray.stats.inference.units`. p-values are adjusted over all categories and experts (Y. Benjamini and Y.
    Hochberg, J. Roy. Stat. Soc. B 57, 1995). The smallest possible p-value is 1 / (1 + permutations), so this many
    tests need some ten thousand permutations.

    Parameters
    ----------
    shares
        Shares of each prompt ``(prompts, experts)``; the experts of several layers may stand side by side.
    labels, groups
        The category and the group of each prompt.
    permutations, rng
        Number of permutations, and their seed or generator.
    exists
        Which columns are experts ``(experts,)``, where layers have unequal numbers of them. The other columns are not
        tested: their results are NaN. By default every column is an expert.

    Raises
    ------
    NotComputable
        If there is one category only, or none can be tested.
    """
    units = units_of(labels, groups)
    if len(units.names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    tested = [category for category in range(len(units.names)) if _enough(units, category)]
    if not tested:
        of = "prompts" if units.design == "independent" else "groups"
        message = f"no category has {_LEAST_UNITS} {of}, and the others together as many"
        raise NotComputable(message)
    contrasts = UnitContrasts.of(shares, units)
    differences = np.full((len(units.names), shares.shape[1]), np.nan)
    p_values = np.full_like(differences, np.nan)
    errors = np.ones(len(units.names))
    reached = np.zeros_like(differences)
    floor = max(_LEAST_ERROR * float((contrasts.sums**2).sum()), _LEAST_ERROR**2)
    for category in tested:
        observed, error = contrasts.compared(units.part_categories[None], category)
        differences[category], errors[category] = observed[0], error[0] + floor
    least = (np.abs(differences) - _ROUNDING) * (1 - _ROUNDING) / np.sqrt(errors)[:, None]
    for block in units.labelings(permutations, rng):
        for category in tested:
            permuted, error = contrasts.compared(block, category)
            reached[category] += (np.abs(permuted) >= least[category] * np.sqrt(error + floor)[:, None]).sum(axis=0)
    for category in tested:
        by_model = _by_model(differences[category], float(errors[category]), shares.mean(axis=0))
        p_values[category] = np.maximum((1 + reached[category]) / (1 + permutations), by_model)
    if exists is not None:
        differences[:, ~exists] = p_values[:, ~exists] = np.nan
    untested = tuple(name for number, name in enumerate(units.names) if number not in tested)
    return SpecialisationTests(differences, p_values, benjamini_hochberg(p_values), permutations, untested)


def _enough(units: Units, category: int) -> bool:
    """Whether a category, and the others together, have three units each."""
    inside = units.part_categories == category
    return min(len(set(units.part_units[some].tolist())) for some in (inside, ~inside)) >= _LEAST_UNITS


def _by_model(
    differences: NDArray[np.float64], error: float, means: NDArray[np.float64]
) -> NDArray[np.float64]:  # (experts,)
    """Return two-sided p-values if the squared error of each expert is its part, by m(1 − m), of that of all."""
    from scipy.special import ndtr

    parts = (means * (1 - means)).clip(0)
    errors = np.sqrt(parts * error / max(float(parts.sum()), _ROUNDING))
    ratios = np.abs(differences) / np.maximum(errors, _ROUNDING)
    return np.where(np.abs(differences) <= _ROUNDING, 1.0, 2 * ndtr(-ratios))
