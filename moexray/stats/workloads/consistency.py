"""Local routing consistency: how well one choice of experts serves a window of consecutive tokens."""

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray


def window_counts(
    experts: NDArray[np.integer],
    prompts: NDArray[np.integer],
    blocks: NDArray[np.integer],
    *,
    windows: Sequence[int],
    width: int,
) -> list[NDArray[np.int64]]:  # (blocks, layers, window + 1) each
    """Count how often windows of tokens use an expert 0, 1, …, m times, over all windows and experts.

    Windows are all runs of m consecutive tokens of one prompt.

    Parameters
    ----------
    experts
        Experts of each token ``(tokens, layers, k)``; negative for no selection.
    prompts
        The prompt of each token ``(tokens,)``.
    blocks
        The block of each token's prompt ``(tokens,)``.
    windows
        Tokens of a window.
    width
        Experts of the widest layer. Experts that a layer does not have are used 0 times, which changes no SRP.
    """
    tokens, layers, _ = experts.shape
    number = int(blocks.max(initial=0)) + 1
    found = [np.zeros((number, layers, window + 1), dtype=np.int64) for window in windows]
    starts = [
        np.flatnonzero(prompts[min(window - 1, tokens) :] == prompts[: max(tokens - window + 1, 0)])
        for window in windows
    ]
    places = np.where(experts < 0, width, experts).astype(np.int64)
    # Sums may pass the largest int16: their differences are right nevertheless, if no window is as long as that.
    kind: np.dtype[Any] = np.dtype(np.int16 if max(windows, default=0) < 2**15 else np.int64)
    for layer in range(layers):
        used = np.zeros((tokens + 1, width + 1), dtype=kind)
        used[np.arange(1, tokens + 1)[:, None], places[:, layer]] = 1
        sums = np.cumsum(used[:, :width], axis=0, dtype=kind)
        for window, inside, counts in zip(windows, starts, found, strict=True):
            cells = (blocks[inside] * (window + 1))[:, None] + (sums[inside + window] - sums[inside])
            counts[:, layer] = np.bincount(cells.ravel(), minlength=counts[:, 0].size).reshape(number, -1)
    return found


def consistency(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return SRP, segment routing best performance, of windows with these counts.

    A router of the window sends all of its tokens to every expert that is used at least τ times. SRP is the highest F1
    of its selections over τ, one τ for all windows (arXiv:2505.16056): 2 Σ_{c≥τ} c / (m #{c ≥ τ} + Σ c).

    Parameters
    ----------
    counts
        How many windows and experts have c uses, for c = 0 … m ``(…, m + 1)``.

    Returns
    -------
    SRP ``(…)``; NaN where there is no window.
    """
    window = counts.shape[-1] - 1
    uses = counts * np.arange(window + 1)
    matched = np.cumsum(uses[..., :0:-1], axis=-1)
    predicted = window * np.cumsum(counts[..., :0:-1], axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((2 * matched / (predicted + matched[..., -1:])).max(axis=-1))


def independent_counts(rates: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the counts to be expected of independent tokens, which use each expert at its rate.

    Parameters
    ----------
    rates
        Share of tokens that use each expert ``(…, experts)``.
    window
        Tokens of a window.

    Returns
    -------
    The expected counts of one window ``(…, window + 1)``: sums of binomial probabilities.

    Examples
    --------
    >>> uniform = np.full(64, 8 / 64)
    >>> [round(float(consistency(independent_counts(uniform, m))), 3) for m in (4, 16)]
    [0.464, 0.321]
    """
    number = np.arange(window + 1)
    ways = np.array([float(comb(window, c)) for c in range(window + 1)])
    rates = np.asarray(rates, dtype=np.float64)[..., None]
    return np.asarray((ways * rates**number * (1 - rates) ** (window - number)).sum(axis=-2))
