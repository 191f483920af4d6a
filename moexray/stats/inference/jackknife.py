"""Jackknife intervals: the spread of a statistic with each unit, a prompt or a group of prompts, left out in turn."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import LEVEL
from moexray.stats.inference.units import Units

# With two units a variance is known so poorly that intervals cover 70 to 90 % instead of 95 %.
LEAST_UNITS = 3


def jackknife_interval(
    estimate: float,
    left_out: NDArray[np.float64],
    strata: NDArray[np.integer],
    *,
    least: int = LEAST_UNITS,
    kept: float = 1.0,
) -> tuple[float, float] | None:
    """95 % jackknife interval of a statistic of several independent samples of units.

    The variance is Σ_c v_c with v_c = (n_c − 1)/n_c Σ_u (θ_(u) − mean θ_(·))², over samples c and their units u, with
    θ_(u) the statistic without unit u (J. Arvesen, Annals of Mathematical Statistics 40, 1969). The quantile is
    Student's with (Σ v_c)² / Σ v_c²/(n_c − 1) degrees of freedom (B. Welch, Biometrika 34, 1947), so that an interval
    whose width comes from a few units of one small category is as wide as these few allow.

    A pair is left out with its units, so the dependence between pairs is accounted for. Unlike in a bootstrap, no
    prompt occurs twice, which would make pairs with a similarity of one. Nothing is drawn at random.
    docs/analysis.md gives the coverage in simulations.

    Parameters
    ----------
    estimate
        The statistic over all units.
    left_out
        The statistic without each unit ``(units,)``.
    strata
        The sample of each unit, `moexray.stats.inference.units.Units.strata`; its category, where units are prompts.
    least
        Every sample must have this many units.
    kept
        The share of the variance that is not counted twice: see `moexray.stats.pairs.interactions`.

    Returns
    -------
    The two ends; None if a sample has too few units, or the statistic is not finite without some unit.
    """
    from scipy.special import stdtrit

    sizes = np.bincount(strata)
    found = np.flatnonzero(sizes)
    if not np.isfinite(left_out).all() or not len(found) or sizes[found].min() < least:
        return None
    variance, freedom = jackknife_variance(left_out, strata)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * float(np.sqrt(kept * variance)) if variance > 0 else 0.0
    return float(estimate - half), float(estimate + half)


def jackknife_variance(left_out: NDArray[np.float64], strata: NDArray[np.integer]) -> tuple[float, float]:
    """Return the variance of `jackknife_interval`, and its degrees of freedom."""
    sizes = np.bincount(strata)
    found = np.flatnonzero(sizes > 1)
    variances = np.array([(sizes[c] - 1) * np.var(left_out[strata == c]) for c in found])
    total = float(variances.sum())
    freedom = total**2 / float((variances**2 / (sizes[found] - 1)).sum()) if total > 0 else 1.0
    return total, freedom


def mean_interval(
    values: NDArray[np.float64], numbers: NDArray[np.integer], *, units: Units | None = None
) -> tuple[float, float] | None:
    """95 % jackknife interval of a mean over prompts, with the share of each category held fixed.

    The variance is that of a stratified mean, Σ n_c s_c² / n². Without fixed shares the interval would be too narrow
    by the factor (n_c − 1)/n_c.

    Parameters
    ----------
    values
        One value of each prompt ``(prompts,)``.
    numbers
        The category of each prompt.
    units
        The units that are left out; by default each prompt is one.
    """
    sizes = np.bincount(numbers)
    sums = np.bincount(numbers, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        if units is None:
            means = sums / sizes
            moved = (means[numbers] - values) * sizes[numbers] / (sizes[numbers] - 1)
            left_out, strata = values.mean() + moved / len(values), numbers
        else:
            shape = (len(units), len(sizes))
            held, own = np.zeros(shape), np.zeros(shape)
            np.add.at(held, (units.units, numbers), 1)
            np.add.at(own, (units.units, numbers), values)
            present = sizes > 0
            means = (sums - own)[:, present] / (sizes - held)[:, present]
            left_out, strata = means @ sizes[present] / len(values), units.strata
    return jackknife_interval(float(values.mean()), left_out, strata)


def logit_interval(
    estimate: float, left_out: NDArray[np.float64], strata: NDArray[np.integer], *, kept: float = 1.0
) -> tuple[float, float] | None:
    """95 % jackknife interval of a probability on the logit scale, since near 0 or 1 it is far from symmetric.

    None, too, where the probability is 0 or 1, with all units or without one of them.
    """
    from scipy.special import expit, logit

    if not (0 < estimate < 1 and np.all((left_out > 0) & (left_out < 1))):
        return None
    interval = jackknife_interval(float(logit(estimate)), logit(left_out), strata, kept=kept)
    return None if interval is None else (float(expit(interval[0])), float(expit(interval[1])))
