"""Blocks of routed sequences as bytes for a journal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.recording.packing import DamagedError, Packed, pack, pack_text, unpack_text
from moexray.routing import RoutedSequence
from moexray.segments import Segment

# Sequences are compressed together up to this size: enough to find what repeats, little enough to read for one of them.
_BLOCK = 2**20
_PARTS = ("token_ids", "segments", "experts", "gate_weights", "scores")


def pack_sequences(sequences: Mapping[int, RoutedSequence]) -> Iterator[tuple[list[int], bytes]]:
    """Yield sequences in blocks: the numbers of a block's sequences, in order, and its bytes."""
    for numbers in _blocks(sequences):
        some = [sequences[number] for number in numbers]
        outputs = [pack_text(one.output) for one in some]
        arrays: dict[str, NDArray[Any] | None] = {name: _joined(some, name) for name in _PARTS}
        arrays["tokens"] = np.array([len(one.token_ids) for one in some], dtype=np.int64)
        arrays["letters"] = np.array(list(map(len, outputs)), dtype=np.int64)
        arrays["output"] = np.concatenate(outputs)
        arrays["numbers"] = np.array(numbers, dtype=np.int64)
        yield numbers, pack(arrays)


class PackedSequences:
    """A block of sequences that `pack_sequences` made.

    Raises
    ------
    DamagedError
        If it did not.
    """

    def __init__(self, content: bytes) -> None:
        self._arrays = Packed(content)
        self._places = {number: place for place, number in enumerate(self._arrays.rows("numbers").tolist())}
        self._ends = np.cumsum(self._arrays.rows("tokens"))
        self._letter_ends = np.cumsum(self._arrays.rows("letters"))

    def __len__(self) -> int:
        return len(self._ends)

    def sequence(self, number: int, segments: tuple[Segment, ...]) -> RoutedSequence:
        """Return the sequence of a number, with the layout's segments."""
        if number not in self._places:
            raise DamagedError
        place = self._places[number]
        start, stop = _bounds(self._ends, place)
        arrays: dict[str, Any] = {name: self._arrays.rows(name, start, stop) for name in _PARTS if name in self._arrays}
        output = unpack_text(self._arrays.rows("output", *_bounds(self._letter_ends, place)))
        return RoutedSequence(output=output, segment_names=segments, **arrays)


def _bounds(ends: NDArray[np.int64], place: int) -> tuple[int, int]:
    return int(ends[place - 1]) if place else 0, int(ends[place])


def _blocks(sequences: Mapping[int, RoutedSequence]) -> Iterator[list[int]]:
    """Yield the numbers of sequences that share a block; those in one have the same parts, and it is not too large."""
    together: list[int] = []
    size, kind = 0, None
    for number, one in sequences.items():
        parts = [getattr(one, name) for name in _PARTS]
        own_size = sum(part.nbytes for part in parts if part is not None)
        own_kind = [None if part is None else part.dtype for part in parts]
        if together and (size + own_size > _BLOCK or own_kind != kind):
            yield together
            together, size = [], 0
        together.append(number)
        size, kind = size + own_size, own_kind
    if together:
        yield together


def _joined(sequences: Iterable[RoutedSequence], name: str) -> NDArray[Any] | None:
    parts = [getattr(one, name) for one in sequences]
    return None if parts[0] is None else np.concatenate(parts)
