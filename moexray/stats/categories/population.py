"""Populations of prompts: what a pilot says of the prompts that a larger study would draw, and new studies of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.centred_layers import check_units
from moexray.stats.categories.pair_means import CategoryPairs
from moexray.stats.inference.units import Design, Units, units_of
from moexray.stats.pairs.similarity import category_effect

# Directions in which simulated signatures vary; a pilot with more is summarised by the first of them.
_MOST_DIRECTIONS = 256
# A study with a given effect size varies in this many directions, alike in all of them; the numbers are those of
# signatures of a uniform scatter around one and a half.
_DIRECTIONS, _BASE, _SPREAD = 24, 1.5, 0.26
_CALIBRATION, _HALVINGS = 600, 20


@dataclass(frozen=True)
class StudyDesign:
    """Size of a study.

    Attributes
    ----------
    units
        Units (prompts, or groups where there are some) of each category; of all categories in a crossed design.
    prompts
        Prompts of each unit and category.
    tokens
        Tokens of a prompt, as a multiple of those in the pilot.
    """

    units: int
    prompts: int = 1
    tokens: float = 1.0


@dataclass(frozen=True)
class Population:
    """Prompts of several categories, whose signatures are normal around the category's mean.

    Attributes
    ----------
    means
        Mean of each category ``(categories, directions)``, along the directions in which prompts vary.
    variances
        Variance within a category along each direction ``(directions,)``, averaged over categories.
    scales
        Variance of each category as a multiple of that ``(categories,)``.
    unit_share, part_share
        The shares of the variance that are the same for all prompts of a unit, and for those of a unit and category.
    token_share
        The share of the variance that a prompt's finite number of tokens makes, if tokens are independent.
    lengths
        Tokens of prompts, relative to their harmonic mean, of each category.
    design
        How units and categories go together.
    """

    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    scales: NDArray[np.float64]
    unit_share: float
    part_share: float
    token_share: float
    lengths: tuple[NDArray[np.float64], ...]
    design: Design

    @property
    def squared_distance(self) -> float:
        """``Σ_{c<d} |m_c − m_d|²``, as in `moexray.stats.categories.location`."""
        centred = self.means - self.means.mean(axis=0)
        return float(len(centred) * (centred**2).sum())

    def at_distance(self, squared_distance: float) -> "Population":
        """Return the population whose means have another squared distance, in the same directions."""
        centre, found = self.means.mean(axis=0), self.squared_distance
        factor = np.sqrt(max(squared_distance, 0.0) / found) if found > 0 else 0.0
        return replace(self, means=centre + factor * (self.means - centre))

    def draw(self, design: StudyDesign, rng: Generator) -> tuple[NDArray[np.float64], list[str], list[str] | None]:
        """Draw the signatures ``(prompts, directions)`` of a study, and the category and group of each."""
        categories, units, prompts = len(self.means), design.units, design.prompts
        crossed = self.design == "crossed"
        shape = (categories, units, prompts)
        category, unit, _ = (places.ravel() for places in np.indices(shape))
        part = category * units + unit
        lengths = np.concatenate([rng.choice(of_category, units * prompts) for of_category in self.lengths])
        own = 1 - self.part_share + self.token_share * (1 / (lengths * design.tokens) - 1)
        deviations = np.sqrt(own.clip(0))[:, None] * self._normal(len(category), rng)
        for share, of, number in (
            (self.unit_share, unit, units),
            (self.part_share - self.unit_share, part, categories * units),
        ):
            if share > 0:
                deviations += np.sqrt(share) * self._normal(number, rng)[of]
        signatures = self.means[category] + np.sqrt(self.scales[category])[:, None] * deviations
        labels = [f"category {c}" for c in category.tolist()]
        if self.design == "independent":
            return signatures, labels, None
        return signatures, labels, [f"group {g}" for g in (unit if crossed else part).tolist()]

    def _normal(self, rows: int, rng: Generator) -> NDArray[np.float64]:
        return np.asarray(rng.standard_normal((rows, len(self.variances))) * np.sqrt(self.variances))


def estimated_population(
    counts: NDArray[np.integer],
    tokens: NDArray[np.integer],
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
) -> Population:
    """Estimate the population that a pilot was drawn from.

    The squared distance of the means, the variance within categories and the shares of units in it follow from mean
    products of pairs of prompts, so that none of them is biased by noise: see `moexray.stats.categories.location`.
    The variances along directions are the eigenvalues of the pooled covariance matrix, drawn towards their mean as far
    as makes the sum of their squares unbiased: few prompts make variance look as if it had few directions.

    Parameters
    ----------
    counts
        Selections ``(prompts, layers, experts)``.
    tokens
        Routed tokens of each prompt ``(prompts,)``.
    labels, groups
        Category and group of each prompt.

    Raises
    ------
    NotComputable
        If there is one category only, one of them has fewer than three units, or nothing varies within categories.
    """
    units = units_of(labels, groups)
    check_units(units)
    totals = counts.sum(axis=2, keepdims=True)
    shares = (counts / np.maximum(totals, 1)).reshape(len(counts), -1)
    means, spectrum, traces = _directions(shares, units)
    of_means = CategoryPairs.of(shares - shares.mean(axis=0), units, np.ones(len(shares), dtype=bool))
    within = of_means.means(units.part_categories[None])[0]
    unit_share, part_share = _shares_of_units(shares - shares.mean(axis=0), units, within, traces.mean())
    noise = _token_noise(counts, tokens).mean()
    found = Population(
        means=means,
        variances=spectrum,
        scales=traces / traces.mean(),
        unit_share=unit_share if units.design == "crossed" else 0.0,
        part_share=part_share,
        token_share=float(min(noise / traces.mean(), 1 - part_share)),
        lengths=_relative_lengths(tokens, units.categories),
        design=units.design,
    )
    distance = len(within) * np.trace(within) - within.sum()
    return found.at_distance(float(distance))


def population_of_effect(cohens_d: float, categories: int, *, rng: int | Generator) -> Population:
    """Return a population whose pairs of prompts have this Cohen's d, in categories that are equally far apart.

    Signatures vary alike in 24 directions. The distance of the means is found by bisection: d of 600 prompts, the same
    ones for every distance.
    """
    means = np.full((categories, _DIRECTIONS), _BASE)
    means[np.arange(categories), np.arange(categories)] += 1
    of_category = [np.ones(1)] * categories
    made = Population(
        means, np.full(_DIRECTIONS, _SPREAD**2), np.ones(categories), 0.0, 0.0, 0.0, tuple(of_category), "independent"
    )
    seed = int(np.random.default_rng(rng).integers(2**32))

    def effect(distance: float) -> float:
        design = StudyDesign(max(2, _CALIBRATION // categories))
        vectors, labels, _ = made.at_distance(distance).draw(design, np.random.default_rng(seed))
        return category_effect(vectors, labels).cohens_d or 0.0

    wanted, low, high = cohens_d + effect(0), 0.0, made.squared_distance
    while effect(high) < wanted:
        low, high = high, 4 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if effect(middle) < wanted else (low, middle)
    return made.at_distance((low + high) / 2)


def _directions(
    shares: NDArray[np.float64], units: Units
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return means and variances along the directions of the pooled covariance, and each category's total variance."""
    numbers, categories = units.categories, len(units.names)
    sizes = np.bincount(numbers)
    means = np.stack([shares[numbers == c].mean(axis=0) for c in range(categories)])
    residuals = shares - means[numbers]
    traces = np.bincount(numbers, (residuals**2).sum(axis=1)) / (sizes - 1)
    if traces.mean() <= 0:
        message = "the prompts of each category all have the same signature, so that nothing is left to chance"
        raise NotComputable(message)
    freedom = len(shares) - categories
    _, singular, axes = np.linalg.svd(residuals, full_matrices=False)
    number = min(_MOST_DIRECTIONS, shares.shape[1])
    spectrum = np.zeros(number)
    kept = min(number, len(singular))
    spectrum[:kept] = singular[:kept] ** 2 / freedom
    spectrum += ((singular**2).sum() / freedom - spectrum.sum()) / number
    centred = means - means.mean(axis=0)
    coordinates = np.zeros((categories, number))
    coordinates[:, :kept] = centred @ axes[:kept].T
    triangle = np.linalg.qr((centred - coordinates[:, :kept] @ axes[:kept]).T)[1]
    beside = triangle.T[:, : number - kept]
    coordinates[:, kept : kept + beside.shape[1]] = beside
    return coordinates, _unbiased(spectrum, freedom) * traces.mean() / spectrum.sum(), traces


def _unbiased(spectrum: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """Draw eigenvalues towards their mean, so that the sum of their squares has the expectation that it should.

    With S a normal sample covariance of f degrees of freedom, f²/((f − 1)(f + 2)) · (tr S² − (tr S)²/f) is unbiased for
    tr Σ² (Z. Bai and H. Saranadasa, Statistica Sinica 6, 1996).
    """
    squares, flat = float((spectrum**2).sum()), float(spectrum.sum() ** 2 / len(spectrum))
    wanted = freedom**2 / ((freedom - 1) * (freedom + 2)) * (squares - spectrum.sum() ** 2 / freedom)
    if squares <= flat:
        return spectrum
    factor = np.sqrt(np.clip((wanted - flat) / (squares - flat), 0, 1))
    return np.asarray(spectrum.mean() + factor * (spectrum - spectrum.mean()))


def _shares_of_units(
    centred: NDArray[np.float64], units: Units, means: NDArray[np.float64], trace: float
) -> tuple[float, float]:
    """Return the shares of the variance within categories of a whole unit, and of a unit in one category.

    The product of two prompts of a unit exceeds that of two prompts of different units by what the unit adds to both.
    """
    products = centred @ centred.T
    own, other = units.categories[:, None], units.categories[None]
    excess = products - means[own, other]
    same_unit = units.units[:, None] == units.units
    np.fill_diagonal(same_unit, val=False)
    share = [
        float(excess[pairs].mean()) / trace if pairs.any() else 0.0
        for pairs in (same_unit & (own != other), same_unit & (own == other))
    ]
    of_unit = min(max(share[0], 0.0), 1.0)
    return of_unit, min(max(share[1], of_unit), 1.0)


def _token_noise(counts: NDArray[np.integer], tokens: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the variance of each prompt's shares that independent tokens would make, summed over experts.

    An expert's count is binomial over tokens, so c(T − c)/(T − 1) is unbiased for its variance.
    """
    some = tokens > 1
    counts, tokens = counts[some].astype(np.float64), tokens[some, None, None].astype(np.float64)
    selections = np.maximum(counts.sum(axis=2, keepdims=True), 1)
    variance = counts * (tokens - counts).clip(0) / (tokens - 1) / selections**2
    return np.asarray(variance.sum(axis=(1, 2))) if some.any() else np.zeros(1)


def _relative_lengths(tokens: NDArray[np.integer], numbers: NDArray[np.integer]) -> tuple[NDArray[np.float64], ...]:
    of_categories = [tokens[numbers == c] for c in range(int(numbers.max()) + 1)]
    return tuple(lengths * np.mean(1 / lengths) for lengths in of_categories)
