"""Counts of selections and their gate mass, in memory or in a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CountArray = NDArray[np.unsignedinteger[Any]]
MassArray = NDArray[np.float32]
Pair = tuple[CountArray, MassArray | None]

_BLOCK_NUMBERS = 2**22


class Rows(Protocol):
    """An array that is read when it is asked for, whole or some rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    def read(self) -> NDArray[Any]: ...  # noqa: D102
    def blocks(self, size: int) -> Iterator[NDArray[Any]]: ...  # noqa: D102


@dataclass(frozen=True)
class Counts:
    """Counts and gate mass ``(prompts, segments, layers, experts)``; None where no gate mass was recorded."""

    counts: CountArray | Rows
    mass: MassArray | Rows | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both; nothing is read for it."""
        return self.counts.shape

    @property
    def in_memory(self) -> bool:
        """Whether the counts are in memory."""
        return isinstance(self.counts, np.ndarray)

    def read(self) -> Pair:
        """Return both as arrays, read from the file where they are not in memory."""
        counts = self.counts if isinstance(self.counts, np.ndarray) else self.counts.read()
        return counts, self.mass if self.mass is None or isinstance(self.mass, np.ndarray) else self.mass.read()

    def blocks(self, size: int | None) -> Iterator[Pair]:
        """Yield both for consecutive prompts, at most `size` at a time; by default some tens of megabytes."""
        size = size or max(1, _BLOCK_NUMBERS // (self.shape[2] * self.shape[3]))
        if self.mass is None:
            yield from ((block, None) for block in _blocks(self.counts, size))
        else:
            yield from zip(_blocks(self.counts, size), _blocks(self.mass, size), strict=True)

    def take(self, rows: NDArray[np.int64]) -> Pair:
        """Return both for the prompts at these places, in the order given; a file is read in one pass."""
        if self.in_memory or not self.shape[0]:  # a shard without prompts has no block
            counts, mass = self.read()
            return counts[rows], None if mass is None else mass[rows]
        order = np.argsort(rows, kind="stable")
        ascending, start = rows[order], 0
        parts: list[Pair] = []
        for counts, mass in self.blocks(None):
            inside = ascending[(ascending >= start) & (ascending < start + len(counts))] - start
            parts.append((counts[inside], None if mass is None else mass[inside]))
            start += len(counts)
        back = np.argsort(order)
        counts = np.concatenate([counts for counts, _ in parts])[back]
        masses = [mass for _, mass in parts if mass is not None]
        return counts, np.concatenate(masses)[back] if masses else None


def summed(array: NDArray[Any], chosen: tuple[int, ...]) -> NDArray[Any]:  # (prompts, …)
    """Add up the chosen segments of an array ``(prompts, segments, …)``, as int64 or float64."""
    dtype = np.float64 if np.issubdtype(array.dtype, np.floating) else np.int64
    if len(chosen) == 1:
        return array[:, chosen[0]].astype(dtype)
    some = array if len(chosen) == array.shape[1] else array[:, list(chosen)]
    return np.asarray(some.sum(axis=1, dtype=dtype))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nobody can write to; a copy where somebody else could."""
    if not array.flags.writeable:
        return array
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _blocks(array: NDArray[Any] | Rows, size: int) -> Iterator[NDArray[Any]]:
    if isinstance(array, np.ndarray):
        return (array[start : start + size] for start in range(0, len(array), size))
    return array.blocks(size)
