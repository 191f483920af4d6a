"""How many of their experts two tokens share: of one prompt, and of two."""

import numpy as np
from numpy.typing import NDArray


def shared_within(
    counts: NDArray[np.integer], tokens: int, top_k: NDArray[np.integer]
) -> NDArray[np.float64]:  # (layers,)
    """Return the share of k experts that two tokens of a prompt have in common, the mean of all pairs of its tokens.

    With n selections of an expert among T tokens, Σ n (n − 1) / (T (T − 1) k). Its expectation does not depend on T, so
    short and long prompts can be compared; with even load and independent tokens it is k / E.

    Parameters
    ----------
    counts
        Selections of each expert ``(layers, experts)``; a token selects an expert once at most.
    tokens
        T.
    top_k
        k of each layer ``(layers,)``.

    Returns
    -------
    NDArray
        NaN for fewer than two tokens.

    Examples
    --------
    >>> shared_within(np.array([[3, 2, 1, 0]]), 3, np.array([2])).round(3).tolist()  # {0, 1}, {0, 1}, {0, 2}: 1, ½, ½
    [0.667]
    """
    if tokens < 2:
        return np.full(len(top_k), np.nan)
    found = counts.astype(np.float64)
    return np.asarray((found * (found - 1.0)).sum(axis=1) / (float(tokens) * (tokens - 1.0) * top_k))


def shared_between(
    load: NDArray[np.integer],
    squares: NDArray[np.floating],
    lengths: NDArray[np.integer],
    top_k: NDArray[np.integer],
) -> NDArray[np.float64]:  # (layers,)
    """Return the share of k experts that two tokens of two different prompts have in common, the mean of all pairs.

    (Σ N² − Σ n²) / ((Σ T)² − Σ T²) / k, with an expert's N selections by all prompts and n by each, and T tokens of
    each: the share that unequal load alone gives, since tokens of different prompts have no more in common.

    Parameters
    ----------
    load
        Selections of each expert by all prompts ``(layers, experts)``.
    squares
        The sum over prompts of the squares of their selections, shaped alike.
    lengths
        Tokens of each prompt ``(prompts,)``.
    top_k
        k of each layer ``(layers,)``.

    Returns
    -------
    NDArray
        NaN where fewer than two prompts have a token.

    Examples
    --------
    >>> load, squares = np.array([[3, 1]]), np.array([[5.0, 1.0]])  # of {0}, {0} and {0}, {1}
    >>> shared_between(load, squares, np.array([2, 2]), np.array([1])).tolist()
    [0.5]
    """
    tokens = lengths.astype(np.float64)
    pairs = tokens.sum() ** 2 - (tokens**2).sum()
    if pairs <= 0:
        return np.full(len(top_k), np.nan)
    return np.asarray((load.astype(np.float64) ** 2 - squares).sum(axis=1) / (pairs * top_k))
