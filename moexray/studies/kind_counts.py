"""Counts of two kinds of tokens: which kinds there are, and the selections of each unit, read a block at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.segments import Segment, places, selectors
from moexray.signatures import Signatures
from moexray.stats.inference.labels import group_numbers

# Counts of each kind that are held in memory; more units are sampled.
_MOST_CELLS, _FEWEST_UNITS = 2**23, 200


@dataclass(frozen=True)
class KindCounts:
    """What the tokens of two kinds select.

    Attributes
    ----------
    first, second
        Selections of each unit ``(units, layers, experts)``.
    totals
        Selections of all units by each kind ``(2, layers, experts)``.
    units
        How many units there are: where they are too many for memory, `first` and `second` are of some, drawn at random.
    prompts
        Prompts that hold both kinds, the first alone, and the second alone.
    tokens
        Tokens of each kind.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    totals: NDArray[np.int64]
    units: int
    prompts: tuple[int, int, int]
    tokens: tuple[int, int]

    @property
    def held(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which units have a selection by each kind."""
        return np.asarray(self.first.any(axis=(1, 2))), np.asarray(self.second.any(axis=(1, 2)))


def two_kinds(segments: Sequence[Segment], named: Sequence[str] | None) -> tuple[str, str]:
    """Return the selectors of the two kinds to compare: those that are named, or the only two that there are.

    Parameters
    ----------
    segments
        The segments of the signatures.
    named
        Two selectors, see `moexray.segments.places`; None for the two kinds, or the two phases of a single kind. Text
        comes first of two kinds.

    Raises
    ------
    AnalysisError
        If not two are named, they share tokens, or there are not exactly two.
    SignaturesError
        If a name is of no tokens.
    """
    there = ", ".join(selectors(segments))
    if named is not None:
        if len(named) != 2:
            message = f"`kinds` takes two kinds of tokens, not {len(named)}: there are {there}"
            raise AnalysisError(message)
        shared = set(places(named[0], segments)) & set(places(named[1], segments))
        if shared:
            message = f"{named[0]!r} and {named[1]!r} share the tokens of {segments[min(shared)]}: name two kinds apart"
            raise AnalysisError(message)
        return named[0], named[1]
    kinds = sorted(dict.fromkeys(one.kind for one in segments), key=lambda kind: kind != "text")
    if not kinds:
        message = "these signatures hold no token: there is nothing to compare"
        raise AnalysisError(message)
    found = kinds if len(kinds) > 1 else list(dict.fromkeys(one.phase for one in segments))
    if len(found) == 1:
        message = f"these signatures hold one kind of tokens only, {segments[0]}: there is nothing to compare it with"
        raise AnalysisError(message)
    if len(found) > 2:
        message = f"these signatures hold {len(found)} kinds of tokens: name two with `kinds`, among {there}"
        raise AnalysisError(message)
    return found[0], found[1]


def kind_counts(signatures: Signatures, kinds: tuple[str, str], *, seed: int) -> KindCounts:
    """Count the selections of each unit by the tokens of each kind.

    Parameters
    ----------
    signatures
        What was recorded; read some prompts at a time.
    kinds
        The selectors of the kinds.
    seed
        Of the units that are drawn where there are too many.

    Raises
    ------
    AnalysisError
        If no token of a kind was selected for in some layer.
    """
    layers, width = signatures.shape[2:]
    numbers = group_numbers(len(signatures), signatures.prompts.groups)
    units, most = int(numbers.max(initial=-1)) + 1, max(_FEWEST_UNITS, _MOST_CELLS // (layers * width))
    drawn = np.arange(units)
    if units > most:
        drawn = np.sort(np.random.default_rng(seed).choice(units, most, replace=False))
    place_of = np.full(units, -1)
    place_of[drawn] = np.arange(len(drawn))
    found = np.zeros((2, len(drawn), layers, width), dtype=np.int64)
    totals, there = np.zeros((2, layers, width), dtype=np.int64), np.zeros((2, len(signatures)), dtype=bool)
    start = 0
    for block in signatures.blocks():
        rows = slice(start, start + len(block))
        places_in = place_of[numbers[rows]]
        kept = places_in >= 0
        for kind, selector in enumerate(kinds):
            loads = block.loads(selector)
            np.add.at(found[kind], places_in[kept], loads[kept])
            totals[kind] += loads.sum(axis=0)
            there[kind, rows] = loads.any(axis=(1, 2))
        start += len(block)
    _check_selected(signatures, kinds, totals)
    first, second = there
    return KindCounts(
        first=found[0],
        second=found[1],
        totals=totals,
        units=units,
        prompts=(int((first & second).sum()), int((first & ~second).sum()), int((~first & second).sum())),
        tokens=(int(signatures.lengths(kinds[0]).sum()), int(signatures.lengths(kinds[1]).sum())),
    )


def _check_selected(signatures: Signatures, kinds: tuple[str, str], totals: NDArray[np.int64]) -> None:
    for kind, loads in zip(kinds, totals, strict=True):
        empty = np.flatnonzero(~loads.any(axis=1))
        if len(empty):
            where = "" if len(empty) == len(loads) else f" in layer {int(signatures.layers[empty[0]])}"
            message = f"no {kind} token has a selection{where}: name kinds of tokens that the prompts hold"
            raise AnalysisError(message)
