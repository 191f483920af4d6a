"""A category against all others: mean shares of every expert, and how far off they are, for many labelings at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units

_LEAST_UNITS = 2


@dataclass(frozen=True)
class UnitContrasts:
    """Prompts by their units, of which each holds one category (`alone`) or several (`shared`).

    Attributes
    ----------
    units
        The units of the prompts.
    sums, sizes
        The sum of the shares of each part ``(parts, experts)``, and its number of prompts ``(parts,)``.
    contrasts
        Mean share of each part minus that of the other prompts of its unit ``(parts, experts)``; zero where there are
        none.
    """

    units: Units
    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]
    contrasts: NDArray[np.float64]

    @staticmethod
    def of(shares: NDArray[np.float64], units: Units) -> "UnitContrasts":
        """Return the contrasts of the shares of prompts ``(prompts, experts)``."""
        sums, sizes = units.sums(shares - shares.mean(axis=0)), units.sums(np.ones(len(shares)))
        of_units = np.zeros((len(units), sums.shape[1]))
        np.add.at(of_units, units.part_units, sums)
        others = (np.bincount(units.part_units, sizes)[units.part_units] - sizes)[:, None]
        means_of_others = (of_units[units.part_units] - sums) / others.clip(1)
        return UnitContrasts(units, sums, sizes, np.where(others > 0, sums / sizes[:, None] - means_of_others, 0))

    def compared(
        self, labelings: NDArray[np.integer], category: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (labelings, experts), (labelings,)
        """Return the mean share in a category minus that outside, and the sum over experts of its squared error.

        Units of one category give a difference of means, D₁; units of several the mean of their contrasts, D₂. Both
        together are weighed by numbers of units: n₁ = n_c·n_r/(n_c + n_r), of the category and the rest, and n₂.
        """
        shared = self.units.strata[self.units.part_units] == len(self.units.names)
        inside = np.asarray(labelings == category, dtype=np.float64)
        found = []
        if not shared.all():
            found.append(_difference_of_means(inside[:, ~shared], self.sums[~shared], self.sizes[~shared]))
        if shared.any():
            found.append(_mean_contrast(inside[:, shared], self.contrasts[shared]))
        weights = [weight for _, _, weight in found]
        differences = sum(weight * difference for difference, _, weight in found) / sum(weights)
        errors = sum(weight**2 * error for _, error, weight in found) / sum(weights) ** 2
        return np.asarray(differences), np.asarray(errors)


def _difference_of_means(
    inside: NDArray[np.float64], sums: NDArray[np.float64], sizes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Compare two samples of units; the weight is zero where one has fewer than two.

    A mean over prompts is a ratio of sums over units, m = Σ s_u / Σ n_u, whose variance is U/(U − 1) · Σ (s_u − n_u·m)²
    / (Σ n_u)² (W. Cochran, *Sampling Techniques*, 1977, section 6.3); of units of one prompt, s²/n.
    """
    squares, weighted = np.einsum("ij,ij->i", sums, sums), sums * sizes[:, None]
    means, errors, numbers = [], [], []
    for marks in (inside, 1 - inside):
        units = float(marks[0].sum())
        prompts = (marks @ sizes).clip(1)
        mean = marks @ sums / prompts[:, None]
        crossed = np.einsum("ij,ij->i", mean, marks @ weighted) if (sizes != 1).any() else prompts * _squared(mean)
        deviations = marks @ squares - 2 * crossed + _squared(mean) * (marks @ sizes**2)
        means.append(mean)
        errors.append(units / max(units - 1, 1) * deviations.clip(0) / prompts**2)
        numbers.append(units)
    weight = numbers[0] * numbers[1] / sum(numbers) if min(numbers) >= _LEAST_UNITS else 0.0
    return means[0] - means[1], errors[0] + errors[1], weight


def _mean_contrast(
    inside: NDArray[np.float64], contrasts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Average the contrasts of the units that hold the category; the weight is zero where fewer than two do."""
    units = float(inside[0].sum())
    mean = inside @ contrasts / max(units, 1)
    deviations = inside @ np.einsum("ij,ij->i", contrasts, contrasts) - units * _squared(mean)
    return mean, deviations.clip(0) / max(units * (units - 1), 1), units if units >= _LEAST_UNITS else 0.0


def _squared(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))
