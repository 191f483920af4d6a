"""One effect measured in several captures of the same prompts: its mean, and how far captures differ."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import LEVEL
from moexray.stats.inference.jackknife import jackknife_variance


@dataclass(frozen=True)
class PooledEffect:
    """The mean of an effect over captures. Intervals are of 95 %.

    Attributes
    ----------
    mean, ci
        Mean over captures; the interval holds that of all captures and all prompts that these are samples of.
    prompt_error, capture_error
        The two parts of the mean's standard error: what the captures share, which more captures do not make smaller,
        and what each has for itself.
    between_sd
        Standard deviation of the true effect between captures; 0 where the errors of prompts explain all differences.
    new_capture_ci
        In which the effect of one more capture of the same prompts falls.
    """

    mean: float
    ci: tuple[float, float]
    prompt_error: float
    capture_error: float
    between_sd: float
    new_capture_ci: tuple[float, float]


def pooled_effect(
    effects: NDArray[np.float64], left_out: NDArray[np.float64], strata: NDArray[np.integer]
) -> PooledEffect:
    """Average an effect over captures that share their prompts.

    The effect of capture i is y_i = μ + b_i + e_i. The b_i, of variance τ², are what captures differ by; the e_i are
    errors of the prompts, which are correlated, since the captures share these. Their covariance Σ is that of the joint
    jackknife, which leaves each unit out of all captures at once. With ρ the mean of Σ off its diagonal, σ² the mean of
    the diagonal less ρ, and S² the variance of the y_i,

    * E(S²) = τ² + σ², so that τ² is estimated by S² − σ², and the variance of the mean of m captures by S²/m + ρ. S²
      has m − 1 degrees of freedom (J. Hartung and G. Knapp, Statistics in Medicine 20, 2001, for studies that have no
      errors in common), and is taken to be at least σ², below which it is by chance alone; ρ has those of the
      jackknife. The half-widths of the two parts, each with its own Student's quantile, add in quadrature.
    * the effect of one more capture of the same prompts differs from the mean by a variance of (τ² + σ²)(1 + 1/m),
      since errors in common cancel: S √(1 + 1/m), with Student's quantile for m − 1.

    Parameters
    ----------
    effects
        The effect in each capture ``(captures,)``.
    left_out
        The same without each unit ``(units, captures)``.
    strata
        The sample of each unit: `moexray.stats.inference.units.Units.strata`.

    Raises
    ------
    NotComputable
        If there is one capture only, or an effect is missing, with all units or without one of them.
    """
    from scipy.special import stdtrit

    captures = len(effects)
    if captures < 2:
        message = "one capture tells nothing of how captures differ"
        raise NotComputable(message)
    if not (np.isfinite(effects).all() and np.isfinite(left_out).all()):
        message = "an effect is missing in some capture, whichever prompts are left out"
        raise NotComputable(message)
    covariance = _covariance(left_out, strata)
    own = float(np.trace(covariance)) / captures
    shared = max(0.0, (float(covariance.sum()) - captures * own) / (captures * (captures - 1)))
    apart, spread = max(0.0, own - shared), float(effects.var(ddof=1))
    capture_variance = max(spread, apart) / captures
    _, freedom_of_units = jackknife_variance(left_out.mean(axis=1), strata)
    mean = float(effects.mean())
    of_captures, of_units = (float(stdtrit(freedom, (1 + LEVEL) / 2)) for freedom in (captures - 1, freedom_of_units))
    half = sqrt(of_captures**2 * capture_variance + of_units**2 * shared)
    reach = of_captures * sqrt(spread * (1 + 1 / captures))
    return PooledEffect(
        mean=mean,
        ci=(mean - half, mean + half),
        prompt_error=sqrt(shared),
        capture_error=sqrt(capture_variance),
        between_sd=sqrt(max(0.0, spread - apart)),
        new_capture_ci=(mean - reach, mean + reach),
    )


def _covariance(left_out: NDArray[np.float64], strata: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the jackknife covariance of the effects of captures ``(captures, captures)``."""
    found = np.zeros((left_out.shape[1],) * 2)
    for stratum in np.unique(strata):
        members = left_out[strata == stratum]
        pulls = members - members.mean(axis=0)
        found += (len(members) - 1) / len(members) * pulls.T @ pulls
    return found
