"""Random numbers of a token: they depend on its prompt, its position and its layer, not on what shares the batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def uniforms(
    keys: NDArray[np.uint64], positions: NDArray[np.int64], more: Sequence[int], width: int
) -> NDArray[np.float64]:
    """Return numbers from 0 to 1 that depend on nothing but the arguments ``(rows, width)``.

    Each is the SplitMix64 output (Steele, Lea and Flood 2014) of everything that it depends on, mixed in one by one.
    """
    with np.errstate(over="ignore"):
        state = _mixed(keys.astype(np.uint64))
        for value in (positions, *more):
            state = _mixed(state ^ np.asarray(value).astype(np.uint64))
        columns = _mixed(state[:, None] ^ np.arange(width, dtype=np.uint64))
    return np.asarray((columns >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
