"""The order in which the prompts of several captures become those of one, and shards that are all there."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.formats import runs
from moexray.shards import Part, part_of
from moexray.signatures import Signatures

_Item = TypeVar("_Item")
_MOST_NAMED = 40


@dataclass(frozen=True)
class Order:
    """How the prompts of parts follow each other.

    Attributes
    ----------
    lengths
        Prompts of each part.
    is_interleaved
        Whether the parts are shards, whose prompts take turns; otherwise one part follows the other.
    """

    lengths: tuple[int, ...]
    is_interleaved: bool = False

    @property
    def rows(self) -> NDArray[np.int64]:  # (prompts,)
        """The place that each prompt has where one part follows the other."""
        if not self.is_interleaved:
            return np.arange(sum(self.lengths))
        starts = np.cumsum([0, *self.lengths[:-1]])
        place = np.arange(sum(self.lengths))
        return np.asarray(starts[place % len(self.lengths)] + place // len(self.lengths))

    def each(self, streams: Sequence[Callable[[], Iterable[_Item]]]) -> Iterator[_Item]:
        """Yield an item for each prompt from the streams of the parts, which give theirs in order."""
        if not self.is_interleaved:
            for stream in streams:
                yield from stream()
            return
        iterators = [iter(stream()) for stream in streams]
        for place in range(sum(self.lengths)):
            yield next(iterators[place % len(iterators)])
        for iterator in iterators:  # what is checked at the end of a file
            for _ in iterator:
                message = "a part has more items than prompts"
                raise ValueError(message)

    def arrays(self, streams: Sequence[Iterable[NDArray[Any]]]) -> Iterator[NDArray[Any]]:
        """Yield arrays of consecutive prompts from arrays of some prompts of each part, as many of each part at once.

        Those of the last turn may have fewer.
        """
        if not self.is_interleaved:
            for stream in streams:
                yield from stream
            return
        iterators = [iter(stream) for stream in streams]
        while some := [one for one in (next(iterator, None) for iterator in iterators) if one is not None]:
            turn = np.empty((sum(map(len, some)), *some[0].shape[1:]), dtype=np.result_type(*some))
            for place, one in enumerate(some):
                turn[place :: len(iterators)] = one
            yield turn


def order_of(parts: Sequence[Signatures], names: Sequence[str]) -> tuple[Order, list[int]]:
    """Return the order of the prompts of parts, and the parts in the order that it speaks of.

    Raises
    ------
    SignaturesError
        If nothing is given, or shards are missing, there twice, of several captures, not whole, or beside what is none.
    """
    if not parts:
        message = "nothing to merge: name at least one file of signatures"
        raise SignaturesError(message)
    found = []
    for part, name in zip(parts, names, strict=True):
        try:
            found.append(part_of(part.meta))
        except SignaturesError as error:
            message = f"{name}: {error}" if name else str(error)
            raise SignaturesError(message) from error
    shards = [one for one in found if one is not None]
    if not shards:
        return Order(tuple(map(len, parts))), list(range(len(parts)))
    called = [name or f"part {place + 1}" for place, name in enumerate(names)]
    if len(shards) < len(parts):
        other = called[found.index(None)]
        one = next(place for place, part in enumerate(found) if part is not None)
        message = f"{called[one]} is {shards[0].shard.said}, and {other} is none: merge all shards of a capture first"
        raise SignaturesError(message)
    _check_whole(shards, list(map(len, parts)), called)
    in_order = sorted(range(len(parts)), key=lambda place: shards[place].shard.index)
    return Order(tuple(len(parts[place]) for place in in_order), is_interleaved=True), in_order


def _check_whole(shards: Sequence[Part], lengths: Sequence[int], names: Sequence[str]) -> None:
    first = shards[0]
    for part, name in zip(shards, names, strict=True):
        if part.shard.number != first.shard.number:
            others = f"{names[0]} one of {first.shard.number}"
            message = f"{name} is {part.shard.said}, and {others}: merge shards of one capture"
            raise SignaturesError(message)
        if (part.digest, part.prompts) != (first.digest, first.prompts):
            message = f"{name} is a shard of other prompts than {names[0]}: merge shards of one capture"
            raise SignaturesError(message)
    times = Counter(part.shard.index for part in shards)
    twice = next((index for index, number in times.items() if number > 1), None)
    if twice is not None:
        both = [name for part, name in zip(shards, names, strict=True) if part.shard.index == twice]
        message = f"{both[0]} and {both[1]} are both shard {twice} of {first.shard.number}: leave out all but one"
        raise SignaturesError(message)
    lacking = first.shard.number - len(times)
    if lacking:
        shown = list(islice((index for index in range(first.shard.number) if index not in times), _MOST_NAMED))
        more = f" and {lacking - len(shown):,} more" if lacking > len(shown) else ""
        named, verb, it, them = ("shard", "is", "it", "it") if lacking == 1 else ("shards", "are", "the first", "them")
        message = (
            f"{named} {runs(shown)}{more} of {first.shard.number} (counted from 0) {verb} missing: "
            f"`moexray capture --shard {shown[0]}/{first.shard.number}` writes {it}: name {them} too"
        )
        raise SignaturesError(message)
    for part, length, name in zip(shards, lengths, names, strict=True):
        if length != part.expected:
            has = f"which has {part.expected:,} prompts, and holds {length:,}"
            message = f"{name} is {part.shard.said}, {has}: it is not what was captured"
            raise SignaturesError(message)
