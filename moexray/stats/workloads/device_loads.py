"""Loads and traffic of devices: what a placement makes of selections, in one formula each."""

from math import comb

import numpy as np
from numpy.typing import NDArray

# exp(-1000) is zero in any precision: the logarithm of a probability of zero that can be added up.
_NEVER = -1000.0


def balancedness(loads: NDArray[np.number]) -> NDArray[np.float64]:  # (…,)
    """Return the mean load of the devices divided by the largest, averaged over layers: 1 where all are equal.

    This is the balancedness of SGLang and vLLM. Layers that select nothing do not count; where none does, the result is
    not a number.

    Parameters
    ----------
    loads
        Selections that each device gets ``(…, layers, devices)``.

    Examples
    --------
    >>> float(balancedness(np.array([[10, 30], [20, 20]]))), float(balancedness(np.array([[0, 40]])))
    (0.8333333333333333, 0.5)
    """
    most = loads.max(axis=-1)
    ratio = np.divide(loads.mean(axis=-1), most, out=np.zeros(most.shape), where=most > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(ratio.sum(axis=-1) / (most > 0).sum(axis=-1))


def missed_logarithms(shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return log(1 − share): added up over a token's experts, the logarithm of the probability to miss a device."""
    return np.where(shares < 1, np.log1p(-np.minimum(shares, 1 - 1e-9)), _NEVER).astype(np.float32)


def home_logarithms(shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return log(share): added up over a token's experts, the logarithm of the probability that one device has all."""
    return np.where(shares > 0, np.log(np.maximum(shares, 1e-9)), _NEVER).astype(np.float32)


def marks_of(selected: NDArray[np.integer], experts: int) -> NDArray[np.float32]:  # (tokens, experts)
    """Return 1 where a token selects an expert; −1 is no selection.

    Parameters
    ----------
    selected
        What one layer selects for each token ``(tokens, k)``.
    experts
        Experts of the layer.
    """
    found = np.zeros((len(selected), experts + 1), dtype=np.float32)  # the last column takes what is no selection
    found[np.arange(len(selected))[:, None], selected] = 1
    return found[:, :experts]


def devices_touched(marks: NDArray[np.float32], shares: NDArray[np.float64]) -> NDArray[np.float64]:  # (tokens,)
    """Return on how many devices the experts of each token are: how many copies of it are sent.

    Where experts have replicas, this is the expectation Σ_d (1 − ∏_e (1 − share(e, d))) over the independent choice of
    one replica for each: see `moexray.stats.workloads.slots.Slots.shares`.

    Parameters
    ----------
    marks
        1 where a token selects an expert ``(tokens, experts)``.
    shares
        Of each expert's replicas, those on each device ``(experts, devices)``.

    Examples
    --------
    >>> marks = marks_of(np.array([[0, 1], [0, 2]]), 4)
    >>> devices_touched(marks, np.array([[1, 0], [1, 0], [0, 1], [0, 1]]))
    array([1., 2.])
    >>> devices_touched(marks, np.array([[1, 0], [0.5, 0.5], [0, 1], [0, 1]]))
    array([1.5, 2. ])
    """
    return np.asarray((1 - np.exp(marks @ missed_logarithms(shares))).sum(axis=1, dtype=np.float64))


def uniform_devices_touched(experts: int, k: int, devices: int) -> float:
    """Return D (1 − C(E − E/D, k) / C(E, k)): the devices a token touches if it selects k of E experts at random.

    It is also the mean over all placements with equally many experts on each device, whatever the routing.

    Examples
    --------
    >>> [round(uniform_devices_touched(64, 8, devices), 3) for devices in (4, 8, 16)]
    [3.659, 5.433, 6.751]
    """
    return devices * (1 - comb(experts - experts // devices, k) / comb(experts, k))


def uniform_remote(experts: int, k: int, devices: int) -> float:
    """Return 1 − C(E/D, k) / C(E, k): the share of tokens that need another device than theirs, at random.

    Examples
    --------
    >>> round(uniform_remote(64, 8, 2), 4)
    0.9976
    """
    return 1 - comb(experts // devices, k) / comb(experts, k)
