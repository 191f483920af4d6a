"""Intervals of means over cross-validated predictions, whose training prompts are shared between folds.

Every prediction comes from a classifier that was trained on prompts which most other classifiers were trained on, too.
So an accuracy varies more from sample to sample than that of as many independent predictions. C. Nadeau and Y. Bengio
(Machine Learning 52, 2003) approximate its variance over J test sets of n₂ prompts, with n₁ prompts to train on, by
(1/J + n₂/n₁) S², with S² the variance between test sets. Over many partitions into V folds that is the variance of a
mean of independent predictions times V/(V − 1): as if there were as many prompts as are trained on. S² is estimated
here from units, not from folds, of which there may be five only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import LEVEL, clipped, wilson_interval
from moexray.stats.inference.units import Units


@dataclass(frozen=True)
class Share:
    """A share of right predictions, and its 95 % interval."""

    mean: float
    ci: tuple[float, float]


@dataclass(frozen=True)
class _Variance:
    """Variance of a mean over units, and its degrees of freedom after Welch and Satterthwaite."""

    value: float
    degrees: float


def share_interval(
    right: NDArray[np.bool_], weights: NDArray[np.float64], units: Units, *, folds: int | None
) -> tuple[float, float]:
    """95 % interval of a weighted share of right predictions, for other samples of as many units.

    Wilson's interval of an effective number of predictions, p(1 − p)/v · (V − 1)/V, with p the share, v its variance
    over units with the categories' sizes held fixed, and V the number of folds: see the module. The number is never
    larger than if the prompts of a unit in one category were one prediction: 1 / Σ (their weight)² (L. Kish, Survey
    Sampling, 1965). The interval holds the share, and reaches 1 where all are right.

    Parameters
    ----------
    right
        Whether each prompt was predicted correctly, in each partition into folds ``(partitions, prompts)``.
    weights
        Weight of each prompt ``(prompts,)``; they sum to 1. Equal weights give the accuracy.
    units
        The units of the prompts.
    folds
        Folds of each partition; None for one classifier that was trained on other prompts, whose interval it is.
    """
    share = 1.0 if right.all() else float((right @ weights).mean())
    effective = 1 / float((np.bincount(units.parts, weights) ** 2).sum())
    variance = _variance(right.astype(np.float64), weights, units).value
    if variance > 0:
        effective = min(effective, share * (1 - share) / variance)
    effective /= _shared_training(folds)
    return wilson_interval(share * effective, effective)


def gain_interval(gains: NDArray[np.float64], units: Units, *, folds: int | None) -> tuple[float, float] | None:
    """95 % interval of a mean difference between two classifiers of the same folds, paired by prompt.

    Student's, with the variance of `share_interval`.

    Parameters
    ----------
    gains
        What the first classifier has right minus what the second has, of each prompt in each partition into folds
        ``(partitions, prompts)``: −1, 0 or 1.
    units
        The units of the prompts.
    folds
        See `share_interval`.

    Returns
    -------
    The two ends; None where no unit of a category differs from the others, so that nothing says how gains vary.
    """
    from scipy.special import stdtrit

    prompts = gains.shape[1]
    found = _variance(gains, np.full(prompts, 1 / prompts), units)
    if found.value <= 0:
        return None
    half = float(stdtrit(found.degrees, (1 + LEVEL) / 2)) * float(np.sqrt(found.value * _shared_training(folds)))
    mean = float(gains.mean())
    return clipped((mean - half, mean + half), (-1, 1))


def _shared_training(folds: int | None) -> float:
    """Return what shared training prompts multiply the variance by: 1 + n₂/n₁ with n₁ to train on and n₂ to test."""
    return 1.0 if folds is None else folds / (folds - 1)


def _variance(values: NDArray[np.float64], weights: NDArray[np.float64], units: Units) -> _Variance:
    """Variance of a weighted mean over units, averaged over partitions ``(partitions, prompts)``.

    Linearised, with the size of each category held fixed: Σ over strata of U/(U − 1) Σ over units of (Σ w (x − mean of
    the category))², with U units in a stratum.
    """
    sizes = np.bincount(units.strata)
    found = np.zeros(len(sizes))
    of_category = np.bincount(units.categories)
    for of_partition in values:
        means = np.bincount(units.categories, of_partition) / of_category
        sums = np.bincount(units.units, weights * (of_partition - means[units.categories]))
        found += np.bincount(units.strata, sums**2) / len(values)
    free = np.maximum(sizes - 1, 1)
    found *= sizes / free
    total = float(found.sum())
    return _Variance(total, total**2 / float((found**2 / free).sum()) if total > 0 else float(free.sum()))
