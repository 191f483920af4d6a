"""Shards of a capture: which prompts of a list each of several processes runs, and the file that it writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, TypeGuard

from moexray.errors import CaptureError, SignaturesError
from moexray.files import companion

# Where the meta of a shard's signatures says what it is a part of.
KEY = "shard"
# No list of prompts is longer.
_MOST = 10**12
_TEXT = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_FILE = re.compile(r".*\.shard-([0-9]+)-of-([0-9]+)(\.npz)?", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Shard:
    """One of `number` parts of a list of prompts: those whose place, counted from 0, leaves `index` modulo `number`.

    Shards are counted from 0, as array tasks of Slurm (``--array=0-7``) and completion indices of Kubernetes are.

    Attributes
    ----------
    index
        Which of the shards, from 0 to number − 1.
    number
        How many there are.

    Raises
    ------
    CaptureError
        If there is no such shard.
    """

    index: int
    number: int

    def __post_init__(self) -> None:
        try:
            numbers = index(self.index), index(self.number)
        except TypeError:
            message = f"`shard` is {self.index!r} of {self.number!r}: name two whole numbers, such as 0 of 8"
            raise CaptureError(message) from None
        for name, value in zip(("index", "number"), numbers, strict=True):
            object.__setattr__(self, name, value)
        if self.number < 1:
            message = f"`shard` is {self}: a capture has at least 1 shard"
            raise CaptureError(message)
        if not 0 <= self.index < self.number:
            message = (
                f"`shard` is {self}, which is not there: shards are counted from 0, so the "
                f"{self.number} are 0/{self.number} to {self.number - 1}/{self.number}"
            )
            raise CaptureError(message)

    def __str__(self) -> str:
        return f"{self.index}/{self.number}"

    @property
    def said(self) -> str:
        """The shard in words."""
        return f"shard {self.index} of {self.number} (counted from 0)"

    @staticmethod
    def of(shard: "Shard | tuple[int, int] | str | None") -> "Shard | None":
        """Return the shard that is given: as it is, as (which, how many) or as the text of `parse`; None for none.

        Raises
        ------
        CaptureError
            If it is something else, or there is no such shard.
        """
        if shard is None or isinstance(shard, Shard):
            return shard
        if isinstance(shard, str):
            return Shard.parse(shard)
        try:
            which, number = shard
        except (TypeError, ValueError):
            message = f"`shard` is {shard!r}: name which one, counted from 0, and how many, such as (0, 8)"
            raise CaptureError(message) from None
        return Shard(which, number)

    @staticmethod
    def parse(text: str) -> "Shard":
        """Return the shard that ``i/n`` names.

        Raises
        ------
        CaptureError
            If the text is something else, or there is no such shard.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            message = f"`shard` is {text!r}: write which one, counted from 0, and how many, such as 0/8"
            raise CaptureError(message)
        return Shard(int(found[1]), int(found[2]))

    def places(self, prompts: int) -> range:
        """Return the places of its prompts in a list of so many."""
        return range(self.index, prompts, self.number)

    def file(self, out: Path) -> Path:
        """Return the file of this shard of the capture that is called `out`, beside it.

        Every shard is given the same `out` and writes a file of its own. A name that is that of a shard's file is
        taken as it is.

        Raises
        ------
        CaptureError
            If `out` is the file of another shard.

        Examples
        --------
        >>> Shard(3, 8).file(Path("signatures.npz")).name
        'signatures.shard-3-of-8.npz'
        """
        named = _FILE.fullmatch(out.name)
        if named is None:
            return companion(out, f"shard-{self.index}-of-{self.number}.npz")
        if (int(named[1]), int(named[2])) != (self.index, self.number):
            message = (
                f"{out} is the name of shard {named[1]} of {named[2]}, and this is shard {self.index} of "
                f"{self.number}: give all shards the name of the whole as `out`, and each writes its own file beside it"
            )
            raise CaptureError(message)
        return out


@dataclass(frozen=True)
class Part:
    """What the meta of signatures says of the capture that they are a shard of.

    Attributes
    ----------
    shard
        Which shard.
    prompts
        How many prompts the whole has.
    digest
        SHA-256 of all prompts, in order.
    observed
        Keys of the meta whose values only showed while prompts ran: lists of names.
    """

    shard: Shard
    prompts: int
    digest: str
    observed: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        """How many prompts the shard has."""
        return len(self.shard.places(self.prompts))

    @property
    def meta(self) -> dict[str, Any]:
        """The part as JSON values, for `part_of`."""
        return {
            "index": self.shard.index,
            "number": self.shard.number,
            "prompts": self.prompts,
            "digest": self.digest,
            "observed": list(self.observed),
        }


def part_of(meta: Mapping[str, Any]) -> Part | None:
    """Return what signatures with this meta are a part of; None if they are no shard.

    Raises
    ------
    SignaturesError
        If the meta says something else of a shard than a capture writes.
    """
    if KEY not in meta:
        return None
    said = meta[KEY] if isinstance(meta[KEY], Mapping) else {}
    place, number, prompts, digest, observed = (
        said.get(name) for name in ("index", "number", "prompts", "digest", "observed")
    )
    if (
        (_is_count(place) and _is_count(number) and place < number)
        and (_is_count(prompts) and prompts > 0 and isinstance(digest, str))
        and (isinstance(observed, list) and all(isinstance(one, str) for one in observed))
    ):
        return Part(Shard(place, number), prompts, digest, tuple(observed))
    message = "meta says that this is a shard, but not which of what: it was not written by `moexray capture --shard`"
    raise SignaturesError(message)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST
