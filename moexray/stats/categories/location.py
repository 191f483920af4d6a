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
from itertools import chain

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.stats.categories.centred_layers import (
    EQUAL,
    CentredPrompts,
    centred_prompts,
    check_units,
    in_rows,
    p_value_of,
    permuted,
)
from moexray.stats.categories.pair_means import CategoryPairs
from moexray.stats.inference.cores import over_cores
from moexray.stats.inference.units import Units, units_of

# A standard error below this share of the signatures' variance is rounding.
_LEAST_ERROR = 1e-8
# Digits of t: labelings that split the units alike differ beyond them, by rounding.
_DIGITS = 9


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
    prompts = centred_prompts(shares, labels, groups)
    distances, errors, statistics = location_statistics(prompts, permutations=permutations, rng=rng)
    return LocationTest(
        squared_distance=float(distances[0]),
        error=float(errors[0]),
        statistic=float(statistics[0]),
        p_value=p_value_of(float(statistics[0]), statistics[1:]),
        permutations=permutations,
        share_of_difference=_share_of_difference(prompts.shares, prompts.units),
    )


def location_statistics(
    prompts: CentredPrompts, *, permutations: int, rng: int | Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # (1 + permutations,) each
    """Return the distance, its standard error and t of the labels as they are, and under each permutation of them.

    Prompts of the same units have the same permutations for the same seed, whatever their signatures.
    """
    units = prompts.units
    layers = [CategoryPairs.of(one.vectors, units, one.present) for one in prompts.layers]
    blocks = permuted(units, permutations, rng, numbers=layers[0].numbers)
    labelings = chain([units.part_categories.astype(np.int32)[None]], blocks)
    found = [_statistics(layers, block, prompts.variance) for block in labelings]
    distances, errors, statistics = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return distances, errors, statistics


def layer_locations(
    shares: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    permutations: int,
    rng: int | Generator,
) -> NDArray[np.float64]:  # (1 + permutations, layers)
    """Return the statistic of `location_test` for each layer alone; all layers share the permutations.

    The first row is of the labels as they are. A layer in which all signatures are equal has zeros.

    Parameters
    ----------
    shares, labels, groups, permutations, rng
        See `location_test`.

    Raises
    ------
    NotComputable
        If there is one category only, or one of them has fewer than three units.
    """
    units = units_of(labels, groups)
    check_units(units)
    blocks = list(units.labelings(permutations, rng, first=True))

    def statistics(layer: NDArray[np.float64]) -> NDArray[np.float64]:  # (1 + permutations,)
        present = np.asarray(layer.any(axis=1))
        centred = (layer - layer.sum(axis=0) / max(1, int(present.sum()))) * present[:, None]
        variance, length = (float((values**2).sum()) / len(shares) for values in (centred, layer))
        if variance <= EQUAL**2 * length:
            return np.zeros(1 + permutations)
        pairs = CategoryPairs.of(centred, units, present)
        rows = (part for block in blocks for part in in_rows(block, pairs.numbers))
        return np.concatenate([_statistics([pairs], part, variance)[2] for part in rows])

    found = over_cores(statistics, list(np.moveaxis(shares, 1, 0)))
    return np.asarray(np.round(np.stack(found, axis=1), _DIGITS))


def _statistics(
    layers: Sequence[CategoryPairs], labelings: NDArray[np.integer], variance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # (labelings,) each
    """Return θ, its standard error and t for each labeling."""
    parts = [one.distances(labelings) for one in layers]
    distances = np.sum([distance for distance, _ in parts], axis=0)
    changes = np.sum([change for _, change in parts], axis=0)
    errors = np.sqrt(layers[0].variances(changes, labelings))
    return distances, errors, distances / np.hypot(errors, _LEAST_ERROR * variance)


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
    if difference <= EQUAL:
        return None
    of_lengths = float(((np.sqrt(within[first]) - np.sqrt(within[second])) ** 2).sum()) / 2
    return min(max(1 - of_lengths / difference, 0.0), 1.0)
