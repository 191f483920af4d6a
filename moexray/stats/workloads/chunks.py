"""Distinct experts of consecutive tokens: what a chunk of a prompt reads, over all of its windows."""

import numpy as np
from numpy.typing import NDArray


def window_sums(
    experts: NDArray[np.integer],
    runs: NDArray[np.integer],
    *,
    width: int,
    sizes: tuple[int, ...],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each run of tokens, its windows and the sum of their numbers of distinct experts.

    A window is `size` tokens that follow each other. A selection is the first of its expert in those windows that
    start after the expert's previous selection, so summing over selections counts every distinct expert once.

    Parameters
    ----------
    experts
        What each layer selects for each token ``(tokens, layers, k)``, −1 for no selection.
    runs
        The run that each token is part of ``(tokens,)``, from 0 and ascending; windows stay inside a run.
    width
        Experts of the widest layer.
    sizes
        Tokens of a window.

    Returns
    -------
    Windows ``(sizes, runs)``, and distinct experts summed over them ``(sizes, runs, layers)``.
    """
    tokens, layers, _ = experts.shape
    lengths = np.bincount(runs) if tokens else np.zeros(0, dtype=np.int64)
    places = np.arange(tokens) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    windows = np.array([np.maximum(lengths - size + 1, 0) for size in sizes])
    sums = np.zeros((len(sizes), len(lengths), layers), dtype=np.int64)
    for layer in range(layers):
        token, slot = np.nonzero(experts[:, layer] >= 0)
        key = runs[token] * width + experts[token, layer, slot]
        order = np.argsort(key, kind="stable")
        key, token = key[order], token[order]
        again = np.append(False, key[1:] == key[:-1])
        previous = np.where(again, np.roll(places[token], 1), -1)
        here, length, run = places[token], lengths[runs[token]], runs[token]
        for number, size in enumerate(sizes):
            first = np.maximum(previous + 1, here - size + 1)
            starts = np.maximum(np.minimum(here, length - size) - first + 1, 0)
            sums[number, :, layer] = np.bincount(run, starts, minlength=len(lengths))
    return windows, sums
