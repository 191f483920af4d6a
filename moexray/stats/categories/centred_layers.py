"""Prompts with their units and centred shares, in layers that the same prompts have: what tests of categories take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.units import Units, units_of

LEAST_UNITS = 3
# Signatures that differ by less than this share of their length are equal up to rounding.
EQUAL = 1e-12
# Statistics that differ by less than this share are equal up to rounding.
_ROUNDING = 1e-9
# Numbers in one array of a block of labelings.
_MOST_NUMBERS = 2**19


@dataclass(frozen=True)
class CentredLayers:
    """Layers in which the same prompts have a signature.

    Attributes
    ----------
    vectors
        Shares minus their mean over prompts; zero where a prompt has none ``(prompts, dimensions)``.
    present
        Which prompts have a signature ``(prompts,)``.
    """

    vectors: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class CentredPrompts:
    """Prompts with a signature.

    Attributes
    ----------
    shares
        Shares of each prompt ``(prompts, layers, experts)``.
    units
        The units of the prompts.
    layers
        The same shares, centred; mostly one element, since mostly every prompt has a signature in every layer.
    variance
        Mean squared distance from the centre.
    """

    shares: NDArray[np.float64]
    units: Units
    layers: Sequence[CentredLayers]
    variance: float


def centred_prompts(shares: NDArray[np.float64], labels: Sequence[str], groups: Sequence[str] | None) -> CentredPrompts:
    """Leave out prompts without any signature, and centre each layer over the prompts that have one in it.

    Raises
    ------
    NotComputable
        If there is one category only, one of them has fewer than three units, or all signatures are equal.
    """
    units = units_of(labels, groups)
    routed = np.flatnonzero(shares.any(axis=(1, 2)))
    if len(routed) < len(shares):
        shares, units = shares[routed], units.take(routed)
    check_units(units)
    present = np.asarray(shares.any(axis=2))
    patterns, of_layer = np.unique(present, axis=1, return_inverse=True)
    counted = present.sum(axis=0).clip(1)[:, None]
    centred = (shares - shares.sum(axis=0) / counted) * present[:, :, None]
    variance, length = (float((values**2).sum()) / len(shares) for values in (centred, shares))
    if variance <= EQUAL**2 * length:
        message = "all signatures are equal"
        raise NotComputable(message)
    layers = [
        CentredLayers(centred[:, of_layer.ravel() == i].reshape(len(shares), -1), patterns[:, i])
        for i in range(patterns.shape[1])
        if patterns[:, i].any()
    ]
    return CentredPrompts(shares, units, layers, variance)


def permuted(units: Units, permutations: int, rng: int | Generator, *, numbers: int) -> Iterator[NDArray[np.int32]]:
    """Yield permuted labelings of the parts in blocks that fit memory, where each takes so many numbers."""
    for block in units.labelings(permutations, rng):
        yield from in_rows(block, numbers)


def in_rows(labelings: NDArray[np.int32], numbers: int) -> Iterator[NDArray[np.int32]]:
    """Split labelings into blocks that fit memory, where each takes so many numbers."""
    rows = max(1, _MOST_NUMBERS // numbers)
    for start in range(0, len(labelings), rows):
        yield labelings[start : start + rows]


def p_value_of(observed: float, null: NDArray[np.float64]) -> float:
    """``(1 + #{null >= observed}) / (1 + permutations)``, for statistics that may be large."""
    reached = np.count_nonzero(null >= observed - _ROUNDING * max(1.0, abs(observed)))
    return float((1 + reached) / (1 + len(null)))


def check_units(units: Units) -> None:
    """Raise NotComputable if there is one category only, or one has fewer than three units."""
    if len(units.names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    smallest = int(units.units_of_category.argmin())
    number = int(units.units_of_category[smallest])
    if number < LEAST_UNITS:
        of = ("prompt" if units.design == "independent" else "group") + "s" * (number != 1)
        message = f"category {units.names[smallest]!r} has {number} {of}; {LEAST_UNITS} are needed"
        raise NotComputable(message)
