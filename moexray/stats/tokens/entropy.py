"""Mutual information of a table of counts in bits, its estimate without each unit, and the correction of its bias."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import LEAST_UNITS, jackknife_interval


@dataclass(frozen=True)
class Bits:
    """A bias-corrected estimate in bits, its 95 % interval over units, and the uncorrected (plug-in) estimate."""

    bits: float
    ci: tuple[float, float] | None
    uncorrected: float


def table_information(counts: NDArray[np.integer]) -> float:
    """Return the mutual information of the rows and columns of a table of counts, in bits, without bias correction.

    Parameters
    ----------
    counts
        Table of counts ``(rows, columns)``.
    """
    total = float(counts.sum())
    sides = [n_log_n(counts.sum(axis=axis)).sum() for axis in (0, 1)]
    return float((n_log_n(counts).sum() - sum(sides) + n_log_n(np.asarray(total))) / total)


def n_log_n(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return n log2 n, elementwise."""
    values = counts.astype(np.float64)
    return np.asarray(values * np.log2(np.where(values > 0, values, 1)))


def sums_without(
    places: NDArray[np.int64],
    which: NDArray[np.int64],
    units: int,
    counts: NDArray[np.integer] | None = None,
) -> NDArray[np.float64]:  # (1 + units,)
    """Sum n log n over places, with n the selections there, over all units and without each.

    Leaving out a unit changes only the terms of the places where it has selections.

    Parameters
    ----------
    places, which
        The place and the unit of each entry ``(entries,)``.
    units
        Number of units.
    counts
        Selections of each entry; None for one.
    """
    keys, of_entry = np.unique(places * units + which, return_inverse=True)
    own = np.bincount(of_entry, counts)
    known, of_key = np.unique(keys // units, return_inverse=True)
    every = np.bincount(of_key, own, minlength=len(known))
    total = n_log_n(every).sum()
    moved = np.bincount(keys % units, n_log_n(every[of_key] - own) - n_log_n(every[of_key]), minlength=units)
    return np.concatenate([[total], total + moved])


def jackknife_bits(found: NDArray[np.float64], strata: NDArray[np.integer]) -> float:
    """Subtract the jackknife estimate of the bias, Σ (n − 1)(mean without one − whole), over strata of n units.

    Parameters
    ----------
    found
        The information of all units, and without each ``(1 + units,)``.
    strata
        The stratum of each unit ``(units,)``.
    """
    sizes, without = np.bincount(strata), found[1:]
    means = np.bincount(strata, without) / np.maximum(sizes, 1)
    there = sizes > 0
    return float(found[0] - ((sizes - 1) * (means - found[0]))[there].sum())


def corrected(
    found: NDArray[np.float64],
    strata: NDArray[np.integer],
    *,
    without_any: Sequence[NDArray[np.float64]] = (),
    least: int = LEAST_UNITS,
) -> Bits:
    """Return the information without its bias, and its interval.

    Parameters
    ----------
    found, strata
        As for `jackknife_bits`.
    without_any
        The same as `found` of tables without information; what the jackknife leaves of them on average is subtracted.
    least
        With fewer units in a stratum there is no interval.
    """
    bits = jackknife_bits(found, strata)
    if without_any:
        bits -= float(np.mean([jackknife_bits(one, strata) for one in without_any]))
    return Bits(bits, jackknife_interval(bits, found[1:], strata, least=least), float(found[0]))
