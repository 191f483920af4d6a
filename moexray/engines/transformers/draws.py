"""Random numbers of a token: they depend on its prompt, its position and its layer, not on what shares the batch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Places:
    """Which prompts and positions the rows of a forward pass are: left-padded prompts, then what they generate.

    Attributes
    ----------
    keys
        A number for each prompt of the batch, from its id ``(prompts,)``.
    paddings
        Slots before the first token of each.
    rows
        The prompts that run now.
    start
        The slot of the first token of the next stretch.
    """

    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(1, dtype=np.uint64))
    paddings: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    start: int = 0
    stretch: int = 0

    def begin(self, prompts: Sequence[str], lengths: Sequence[int]) -> None:
        """Take the ids and lengths of a batch's prompts."""
        digests = [hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest() for one in prompts]
        self.keys = np.array([int.from_bytes(one[:8], "little") for one in digests], dtype=np.uint64)
        self.paddings = max(lengths) - np.asarray(lengths, dtype=np.int64)
        self.start = 0
        self.run(np.arange(len(prompts)))

    def run(self, rows: NDArray[np.int64]) -> None:
        """Take which prompts go on."""
        self.rows = rows
        self.stretch += 1

    def passed(self, slots: int) -> None:
        """Take how many slots have passed the model."""
        self.start = slots


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
