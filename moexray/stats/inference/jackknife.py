"""Intervals by leaving out one prompt after another."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import LEVEL


def jackknife_interval(
    estimate: float, left_out: NDArray[np.float64], numbers: NDArray[np.integer]
) -> tuple[float, float] | None:
    """Interval of 95 % around a statistic of several independent samples, one of each category.

    The variance is the sum over categories c of (n_c − 1)/n_c Σ (θ_(p) − mean θ_(·))², with θ_(p) the statistic
    without prompt p (J. Arvesen, Annals of Mathematical Statistics 40, 1969); the quantile is Student's, with
    prompts less categories as degrees of freedom. A pair enters or leaves with its prompts, so the dependence
    between pairs is accounted for, and there are never two copies of one prompt, as in a bootstrap: these
    would make pairs with a similarity of one. It needs no drawing and follows from the same sums as the
    statistic. docs/analysis.md gives its coverage in simulations.

    Parameters
    ----------
    estimate
        The statistic of all prompts.
    left_out
        The statistic without each prompt ``(prompts,)``.
    numbers
        The category of each prompt.

    Returns
    -------
    None if a category has one prompt only, or the statistic does not exist without one of them.
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
    """Interval of a mean over prompts: each is left out in turn, and each category keeps its share of the whole.

    So the variance is that of a stratified mean, Σ n_c s_c² / n²; were the others' mean taken as it is, the interval
    would be too narrow by (n_c − 1)/n_c.
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
    """Interval of a probability by way of its logit, for near 0 or 1 it is far from symmetric.

    None, too, where the probability, or one of those without a prompt, is 0 or 1: then its spread is not known.
    """
    from scipy.special import expit, logit

    if not (0 < estimate < 1 and np.all((left_out > 0) & (left_out < 1))):
        return None
    interval = jackknife_interval(float(logit(estimate)), logit(left_out), numbers)
    return None if interval is None else (float(expit(interval[0])), float(expit(interval[1])))
