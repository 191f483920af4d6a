"""Location of categories: whether their mean signatures differ, whatever their lengths, spreads and numbers of prompts.

Why the squared distances are unbiased. Write a prompt's shares as x = m + e, with m the mean of its category and e what
its own words, its number of tokens and chance add, of mean zero. For two prompts p and q of different units, e_p and
e_q are independent, so E(x_p · x_q) = m_p · m_q, whatever the variance of either: an error enters x_p · x_p alone, and
no prompt is paired with itself. A_c, B_cd and so |m_c − m_d|² = m_c · m_c + m_d · m_d − 2 m_c · m_d are estimated
without bias. A cosine is not: it divides each prompt by its own length, which holds |e|², so that the similarity
within and across categories depends on the number of tokens and on the spread. A centre that is subtracted from all
prompts drops out where units are of equal size, and elsewhere adds a term of the order of the error of the centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.pair_means import CategoryPairs
from moexray.stats.inference.units import Units, units_of

LEAST_UNITS = 3
# Signatures that differ by less than this share of their length are equal up to rounding.
_EQUAL = 1e-12
# Standard errors below this share of the signatures' variance are rounding; so are differences of t below that share.
_LEAST_ERROR, _ROUNDING = 1e-8, 1e-9
# Numbers in one array of a block of labelings.
_MOST_NUMBERS = 2**19


@dataclass(frozen=True)
class LocationTest:
    """Studentised test of the distance between the mean signatures of categories.

    Attributes
    ----------
    squared_distance
        The squared distance between the mean shares of two categories, summed over pairs of categories and estimated
        without bias: below zero by chance where the means are equal.
    error
        Its jackknife standard error.
    statistic
        One divided by the other.
    p_value
        One-sided, from permuted labels.
    permutations
        Number of permutations.
    share_of_difference
        How much of the mean cosine within minus across, with equal weight for each pair of categories, is a difference
        of means; the rest is a difference between the lengths of mean unit vectors, which dispersion and short prompts
        make. None where the mean cosine within is not above that across, or the mean cosine within a category is
        negative.
    """

    squared_distance: float
    error: float
    statistic: float
    p_value: float
    permutations: int
    share_of_difference: float | None


def location_test(
    shares: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    permutations: int,
    rng: int | Generator,
) -> LocationTest:
    """Test whether categories differ in mean routing.

    With K the products of the shares of two prompts of different units, A_c is the mean of K over the pairs within
    category c and B_cd that over the pairs across c and d. The statistic is t = θ / √v with

    * θ = Σ_{c<d} (A_c + A_d − 2 B_cd), which weighs every pair of categories alike,
    * v = Σ_s (n_s − 1)/n_s Σ_{u∈s} (θ_(u) − mean over s of θ_(·))², the jackknife over units u of the samples s (J.
      Arvesen, Annals of Mathematical Statistics 40, 1969).

    t is recomputed for permuted labels. That it is studentised keeps the level where categories differ in spread or
    length and not in mean (A. Janssen, Statistics & Probability Letters 36, 1997; E. Chung and J. Romano, Annals of
    Statistics 41, 2013).

    Parameters
    ----------
    shares
        Shares of each prompt ``(prompts, layers, experts)``. A layer whose shares are all zero is one in which the
        prompt has no signature: it is in no pair of this layer.
    labels
        The category of each prompt.
    groups
        The group of each prompt: prompts of one group make no pair, and exchange labels as a whole. See
        `moexray.stats.inference.units`.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there is one category only, one of them has fewer than three units, or all signatures are equal.
    """
    units = units_of(labels, groups)
    routed = np.flatnonzero(shares.any(axis=(1, 2)))
    if len(routed) < len(shares):
        shares, units = shares[routed], units.take(routed)
    check_units(units)
    layers, scale = _layers(shares, units)
    found = [
        _statistics(layers, rows, scale)
        for block in units.labelings(permutations, rng, first=True)
        for rows in _split(block, _MOST_NUMBERS // layers[0].numbers)
    ]
    distances, errors, statistics = (np.concatenate(parts) for parts in zip(*found, strict=True))
    observed = float(statistics[0])
    reached = np.count_nonzero(statistics[1:] >= observed - _ROUNDING * max(1.0, abs(observed)))
    return LocationTest(
        squared_distance=float(distances[0]),
        error=float(errors[0]),
        statistic=observed,
        p_value=float((1 + reached) / (1 + permutations)),
        permutations=permutations,
        share_of_difference=_share_of_difference(shares, units),
    )


def check_units(units: Units, least: int = LEAST_UNITS) -> None:
    """Raise NotComputable if there is one category only, or one has fewer units than that."""
    if len(units.names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    smallest = int(units.units_of_category.argmin())
    number = int(units.units_of_category[smallest])
    if number < least:
        of = "prompts" if units.design == "independent" else "groups"
        message = f"category {units.names[smallest]!r} has {number} {of}; {least} are needed"
        raise NotComputable(message)


def _layers(shares: NDArray[np.float64], units: Units) -> tuple[list[CategoryPairs], float]:
    """Return the pairs of the layers that the same prompts have, and the mean squared distance from the centre."""
    present = np.asarray(shares.any(axis=2))
    patterns, of_layer = np.unique(present, axis=1, return_inverse=True)
    counted = present.sum(axis=0).clip(1)[:, None]
    centred = (shares - shares.sum(axis=0) / counted) * present[:, :, None]
    scale, length = float((centred**2).sum()) / len(shares), float((shares**2).sum()) / len(shares)
    if scale <= _EQUAL**2 * length:
        message = "all signatures are equal"
        raise NotComputable(message)
    layers = [
        CategoryPairs.of(centred[:, of_layer.ravel() == i].reshape(len(shares), -1), units, patterns[:, i])
        for i in range(patterns.shape[1])
        if patterns[:, i].any()
    ]
    return layers, scale


def _statistics(
    layers: Sequence[CategoryPairs], labelings: NDArray[np.int32], scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # (labelings,) each
    """Return θ, its standard error and t for each labeling."""
    parts = [one.distances(labelings) for one in layers]
    distances = np.sum([distance for distance, _ in parts], axis=0)
    changes = np.sum([change for _, change in parts], axis=0)
    errors = np.sqrt(layers[0].variances(changes, labelings))
    return distances, errors, distances / np.hypot(errors, _LEAST_ERROR * scale)


def _split(labelings: NDArray[np.int32], rows: int) -> list[NDArray[np.int32]]:
    return [labelings[start : start + max(1, rows)] for start in range(0, len(labelings), max(1, rows))]


def _share_of_difference(shares: NDArray[np.float64], units: Units) -> float | None:
    """Return 1 − Σ_{c<d} (√A_c − √A_d)²/2 / Σ_{c<d} ((A_c + A_d)/2 − B_cd), of unit vectors, within [0, 1].

    (A_c + A_d)/2 − B_cd is |m_c − m_d|²/2, which two means of one direction and unlike length make positive: then it is
    (|m_c| − |m_d|)²/2, the part that is taken away.
    """
    rows = shares.reshape(len(shares), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    means = CategoryPairs.of(rows, units, np.ones(len(rows), dtype=bool)).means(units.part_categories[None])[0]
    within = np.diag(means)
    if (within < 0).any():
        return None
    first, second = np.triu_indices(len(within), 1)
    difference = float(((within[first] + within[second]) / 2 - means[first, second]).sum())
    if difference <= _EQUAL:
        return None
    of_lengths = float(((np.sqrt(within[first]) - np.sqrt(within[second])) ** 2).sum()) / 2
    return min(max(1 - of_lengths / difference, 0.0), 1.0)
