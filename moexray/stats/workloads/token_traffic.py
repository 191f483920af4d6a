"""What the tokens of a block cost under several placements at once, summed over their prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.workloads.device_loads import home_logarithms, marks_of, missed_logarithms
from moexray.stats.workloads.slots import Slots

# Numbers that are held for a token, each placement and each device, in all.
_MOST_NUMBERS = 2**21


@dataclass(frozen=True)
class Homes:
    """The device that tokens of a kind start from, under each placement.

    Attributes
    ----------
    of_part
        The kind of each part.
    devices
        The home of each kind ``(kinds, placements)``.
    """

    of_part: NDArray[np.integer]
    devices: NDArray[np.integer]


@dataclass(frozen=True)
class Traffic:
    """Sums over tokens and layers, for some parts of the tokens.

    Attributes
    ----------
    visits
        Tokens and layers that select an expert ``(parts,)``.
    touched, nodes
        Devices and nodes they touch ``(parts, placements)``.
    at_home
        Probability that one device, the token's own where prompts are dealt at random, has all it selects
        ``(parts, placements)``.
    own
        Probability that the home of the token's kind has all it selects ``(parts, placements)``; zero without homes.
    boundaries, moved
        Boundaries between layers with a top expert on either side ``(parts,)``, and those where the device changes
        ``(parts, placements)``.
    """

    visits: NDArray[np.float64]
    touched: NDArray[np.float64]
    nodes: NDArray[np.float64]
    at_home: NDArray[np.float64]
    own: NDArray[np.float64]
    boundaries: NDArray[np.float64]
    moved: NDArray[np.float64]

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def by_cell(self, parts: int) -> "Traffic":
        """Return the sums of every `parts` parts that follow each other as one row ``(rows, parts, …)``."""
        return Traffic(**{name: value.reshape(-1, parts, *value.shape[1:]) for name, value in vars(self).items()})

    def part(self, number: int | None) -> "Traffic":
        """Return one part of what `by_cell` returns, or the sum of all parts for None."""
        return Traffic(
            **{name: value.sum(axis=1) if number is None else value[:, number] for name, value in vars(self).items()}
        )


def traffic(
    selected: NDArray[np.integer],
    tops: NDArray[np.integer] | None,
    parts: NDArray[np.integer],
    *,
    placements: Sequence[Slots],
    nodes: int,
    number: int,
    homes: Homes | None = None,
) -> Traffic:
    """Sum what tokens cost under each placement.

    Parameters
    ----------
    selected
        What each layer selects for each token ``(tokens, layers, k)``, −1 for none.
    tops
        The expert of the largest gate weight ``(tokens, layers)``, −1 for none; None where that is not known.
    parts
        The part that each token is of ``(tokens,)``; those of one part that follow each other are added up together.
    placements
        On equally many devices each.
    nodes
        Nodes of the devices, node after node.
    number
        How many parts there are.
    homes
        Where tokens start from, by kind.
    """
    size = max(1, _MOST_NUMBERS // (len(placements) * placements[0].devices))
    starts = range(0, len(selected), size) or [0]
    sums = [
        _traffic(
            selected[start : start + size],
            None if tops is None else tops[start : start + size],
            parts[start : start + size],
            placements=placements,
            nodes=nodes,
            number=number,
            homes=homes,
        )
        for start in starts
    ]
    return sum(sums[1:], start=sums[0])


def _traffic(
    selected: NDArray[np.integer],
    tops: NDArray[np.integer] | None,
    parts: NDArray[np.integer],
    *,
    placements: Sequence[Slots],
    nodes: int,
    number: int,
    homes: Homes | None,
) -> Traffic:
    """Sum what some tokens cost: see `traffic`."""
    tokens, layers, _ = selected.shape
    shape = (tokens, len(placements))
    touched, on_nodes, at_home, own, moved = (np.zeros(shape) for _ in range(5))
    starts = None if homes is None else homes.devices[homes.of_part[parts]][:, :, None]  # (tokens, placements, 1)
    boundaries = np.zeros(tokens)
    before: NDArray[np.float64] | None = None
    for layer in range(layers):
        shares = np.stack([one.shares[layer] for one in placements], axis=1)  # (experts, placements, devices)
        marks = marks_of(selected[:, layer], len(shares))
        touched += _hit(marks, shares)
        if nodes > 1:
            on_nodes += _hit(marks, shares.reshape(*shares.shape[:2], nodes, -1).sum(axis=3))
        has_all = _each(marks, home_logarithms(shares))
        at_home += has_all.mean(axis=2)
        if starts is not None:
            own += np.take_along_axis(has_all, starts, axis=2)[:, :, 0]
        if tops is not None:
            here = shares[tops[:, layer]]  # that of an expert of −1 is not used
            if before is not None:
                there = (tops[:, layer - 1] >= 0) & (tops[:, layer] >= 0)
                boundaries += there
                moved += np.where(there[:, None], 1 - (before * here).sum(axis=2), 0)
            before = here
    visits = (selected >= 0).any(axis=2).sum(axis=1)
    empty = layers - visits
    at_home -= empty[:, None]  # a token that a layer drops has all of nothing everywhere
    if starts is not None:
        own -= empty[:, None]
    sums = (visits, touched, on_nodes, at_home, own, boundaries, moved)
    return Traffic(*(_by_part(one, parts, number) for one in sums))


def _hit(marks: NDArray[np.float32], shares: NDArray[np.float64]) -> NDArray[np.float64]:  # (tokens, placements)
    missed = _each(marks, missed_logarithms(shares))
    return np.asarray(shares.shape[2] - missed.sum(axis=2))


def _each(marks: NDArray[np.float32], logarithms: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return products over the selected experts ``(tokens, placements, devices)`` from sums of logarithms."""
    experts, placements, devices = logarithms.shape
    sums = marks @ logarithms.reshape(experts, -1)
    return np.asarray(np.exp(sums, out=sums).reshape(-1, placements, devices), dtype=np.float64)


def _by_part(values: NDArray[np.number], parts: NDArray[np.integer], number: int) -> NDArray[np.float64]:
    found = np.zeros((number, *values.shape[1:]))
    if len(parts):
        starts = np.flatnonzero(np.diff(parts, prepend=parts[0] - 1))
        np.add.at(found, parts[starts], np.add.reduceat(values.astype(np.float64), starts, axis=0))
    return found
