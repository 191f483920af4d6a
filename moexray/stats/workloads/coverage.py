"""Coverage: how many experts a set of prompts reaches seldom, what load alone predicts, and whom most of it goes to."""

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

# Additions of the exact sum over prompts of several lengths.
_MOST_WORK = 2**33
# Of so many standard deviations below the mean, the tail is below 1e-20 by Bernstein's inequality, and taken as zero.
_FAR = 12


def expected_below(probabilities: NDArray[np.floating], trials: int, below: int) -> NDArray[np.float64]:
    """Return P(X < n) for X ~ Binomial(trials, p): that independent tokens select an expert fewer than n times.

    Parameters
    ----------
    probabilities
        p of each expert, of any shape.
    trials
        Tokens.
    below
        n, at least 1.
    """
    from scipy.special import bdtr

    if below > trials:
        return np.ones_like(probabilities, dtype=np.float64)
    return np.asarray(bdtr(below - 1, trials, np.clip(probabilities, 0.0, 1.0)))


def expected_below_in_prompts(
    probabilities: NDArray[np.floating], lengths: NDArray[np.integer], below: int
) -> NDArray[np.float64]:  # (experts,)
    """Return the probability that an expert is selected in fewer than n prompts, where tokens are independent.

    A prompt of T tokens selects the expert with probability 1 − (1 − p)^T, so that their number is Poisson-binomial.
    It is summed exactly, one binomial for all prompts of one length after the other.

    Parameters
    ----------
    probabilities
        p of each expert ``(experts,)``: that a token selects it.
    lengths
        Tokens of each prompt ``(prompts,)``.
    below
        n, at least 1.

    Raises
    ------
    NotComputable
        If there are too many lengths and experts for an exact sum.
    """
    from scipy.special import gammaln, xlog1py, xlogy

    there, prompts = np.unique(lengths[lengths > 0], return_counts=True)
    found = np.ones(len(probabilities))
    if below > prompts.sum():
        return found
    reached = -np.expm1(there * np.log1p(-np.minimum(probabilities, 1 - 1e-16))[:, None])  # (experts, lengths)
    mean, variance = reached @ prompts, (reached * (1 - reached)) @ prompts
    far = mean - below > _FAR * np.sqrt(variance) + _FAR**2
    found[far] = 0.0
    near = np.flatnonzero(~far & (probabilities > 0))
    if len(near) * len(there) * below**2 > _MOST_WORK:
        message = (
            f"an exact sum over {len(there):,} lengths of prompts and {len(near):,} experts takes too long for "
            f"`below`={below}: give a smaller one"
        )
        raise NotComputable(message)
    mass = np.zeros((len(near), below))
    mass[:, 0] = 1.0
    number = np.arange(below)
    for place, of_length in enumerate(prompts.tolist()):
        share = reached[near, place, None]
        possible = number <= of_length
        ways = gammaln(of_length + 1) - gammaln(number + 1) - gammaln(np.maximum(of_length - number, 0) + 1)
        logarithm = ways + xlogy(number, share) + xlog1py(np.maximum(of_length - number, 0), -share)
        one = np.where(possible, np.exp(logarithm), 0.0)
        both = np.zeros_like(mass)
        for more in range(below):
            both[:, more:] += one[:, : below - more] * mass[:, more, None]
        mass = both
    found[near] = np.minimum(mass.sum(axis=1), 1.0)
    return found


def below_in_subsets(reaching: NDArray[np.integer], prompts: int, size: int, below: int) -> NDArray[np.float64]:
    """Return the probability that fewer than n of `size` prompts, drawn without replacement, select an expert.

    Parameters
    ----------
    reaching
        How many of the prompts select each expert, of any shape.
    prompts, size
        Prompts there are, and prompts drawn.
    below
        n, at least 1.
    """
    from scipy.stats import hypergeom

    numbers, which = np.unique(reaching, return_inverse=True)
    found = hypergeom.cdf(below - 1, prompts, numbers, size)
    return np.asarray(np.clip(found, 0, 1)[which].reshape(reaching.shape))


def most_used(counts: NDArray[np.number], number: int) -> NDArray[np.float64]:  # (…, experts)
    """Return which experts are the `number` most used: 1 or 0, and shares of what is left where experts are tied.

    Parameters
    ----------
    counts
        Selections of each expert ``(…, experts)``.
    number
        How many.

    Examples
    --------
    >>> most_used(np.array([5, 9, 5, 1]), 2)
    array([0.5, 1. , 0.5, 0. ])
    """
    if not number:
        return np.zeros(counts.shape)
    last = -np.partition(-counts, number - 1, axis=-1)[..., number - 1, None]
    above, tied = counts > last, counts == last
    left = number - above.sum(axis=-1, keepdims=True)
    return np.asarray(above + tied * left / tied.sum(axis=-1, keepdims=True))


def overlap(first: NDArray[np.number], second: NDArray[np.number], number: int) -> NDArray[np.float64]:  # (…,)
    """Return the share of the `number` least used experts by one count that are among the least used by another.

    Ties are broken at random and independently, on average: by chance alone the overlap is `number` of all experts.

    Parameters
    ----------
    first, second
        Selections of each expert ``(…, experts)``.
    number
        How many experts are in a set.
    """
    return np.asarray((most_used(-first, number) * most_used(-second, number)).sum(axis=-1) / number)


def chance_overlap(experts: int, number: int) -> tuple[float, tuple[float, float]]:
    """Return the mean overlap of two random sets of `number` of the experts, and its central 95 %.

    The number in common is hypergeometric.
    """
    from scipy.stats import hypergeom

    low, high = hypergeom.ppf([0.025, 0.975], experts, number, number) / number
    return number / experts, (float(low), float(high))
