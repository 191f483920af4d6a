"""Jackknife intervals: the spread of a statistic with each prompt left out in turn."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import LEVEL


def jackknife_interval(
    estimate: float, left_out: NDArray[np.float64], numbers: NDArray[np.integer]
) -> tuple[float, float] | None:
    """95 % jackknife interval of a statistic of several independent samples, one of each category.

    The variance is Σ_c (n_c − 1)/n_c Σ_p (θ_(p) − mean θ_(·))², over categories c and their prompts p, with θ_(p) the
    statistic without prompt p (J. Arvesen, Annals of Mathematical Statistics 40, 1969). The quantile is Student's,
    with as many degrees of freedom as prompts minus categories.

    A pair is left out with its prompts, so the dependence between pairs is accounted for. Unlike in a bootstrap, no
    prompt occurs twice, which would make pairs with a similarity of one. Nothing is drawn at random.
    docs/analysis.md gives the coverage in simulations.

    Parameters
    ----------
    estimate
        The statistic over all prompts.
    left_out
        The statistic without each prompt ``(prompts,)``.
    numbers
        The category of each prompt.

    Returns
    -------
    The two ends; None if a category has one prompt only, or the statistic is not finite without some prompt.
    """
    from scipy.special import stdtrit

    sizes = np.bincount(numbers)
    sizes = sizes[sizes > 0]
    if not np.isfinite(left_out).all() or sizes.min() < 2:
        return None
    variance = sum(
        (np.count_nonzero(numbers == c) - 1) * float(np.var(left_out[numbers == c])) for c in np.unique(numbers)
    )
    half = float(stdtrit(len(numbers) - len(sizes), (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    return float(estimate - half), float(estimate + half)


def mean_interval(values: NDArray[np.float64], numbers: NDArray[np.integer]) -> tuple[float, float] | None:
    """95 % jackknife interval of a mean over prompts, with the share of each category held fixed.

    The variance is that of a stratified mean, Σ n_c s_c² / n². Without fixed shares the interval would be too narrow
    by the factor (n_c − 1)/n_c.
    """
    sizes = np.bincount(numbers)
    means = np.bincount(numbers, values) / sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (means[numbers] - values) * sizes[numbers] / (sizes[numbers] - 1)
    left_out = values.mean() + moved / len(values)
    return jackknife_interval(float(values.mean()), left_out, numbers)


def logit_interval(
    estimate: float, left_out: NDArray[np.float64], numbers: NDArray[np.integer]
) -> tuple[float, float] | None:
    """95 % jackknife interval of a probability on the logit scale, since near 0 or 1 it is far from symmetric.

    None, too, where the probability is 0 or 1, with all prompts or without one of them.
    """
    from scipy.special import expit, logit

    if not (0 < estimate < 1 and np.all((left_out > 0) & (left_out < 1))):
        return None
    interval = jackknife_interval(float(logit(estimate)), logit(left_out), numbers)
    return None if interval is None else (float(expit(interval[0])), float(expit(interval[1])))
