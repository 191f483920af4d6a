"""The busiest device of a placement, by kind of token, and as the share of one kind grows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.pairs.summaries import Interval


@dataclass(frozen=True)
class MixedLoad:
    """The busiest device where a share of the selections is by the second kind.

    Attributes
    ----------
    share
        The share of the second kind.
    busiest, ci
        Load of the busiest device over the mean of the devices, averaged over layers, and its 95 % interval over units;
        None where there are too few.
    even, matched
        The same of uniform and of load-matched routing of as many tokens of each kind: means over draws. None without.
    """

    share: float
    busiest: float
    ci: Interval | None
    even: float
    matched: float | None


def device_loads(
    counts: NDArray[np.integer], device: NDArray[np.integer], devices: int
) -> NDArray[np.int64]:  # (…, layers, devices)
    """Return the selections that each device gets.

    Parameters
    ----------
    counts
        Selections ``(…, layers, experts)``; zero for experts that a layer does not have.
    device
        The device of each expert ``(layers, experts)``.
    devices
        How many devices there are.

    Examples
    --------
    >>> device_loads(np.array([[3, 1, 4, 0]]), np.array([[0, 0, 1, 1]]), 2).tolist()
    [[4, 4]]
    """
    on = (device[:, :, None] == np.arange(devices)).astype(np.int64)  # (layers, experts, devices)
    return np.asarray(np.einsum("...le,led->...ld", counts, on))


def busiest(shares: NDArray[np.float64]) -> NDArray[np.float64]:  # (…, layers)
    """Return the load of the busiest device over the mean of the devices, from their shares."""
    return np.asarray(shares.max(axis=-1) * shares.shape[-1])


def mixed_loads(
    shares: NDArray[np.float64],
    left_out: NDArray[np.float64],
    *,
    even: NDArray[np.float64],
    matched: NDArray[np.float64] | None,
    weights: Sequence[float],
) -> tuple[MixedLoad, ...]:
    """Return the busiest device for some shares of the second kind.

    Load is (1 − w) · the first kind's share + w · the second's, of each device: what many tokens would load it with if
    a share w of them were of the second kind, and each kind were routed as it was recorded. It is convex in w, so the
    busiest device of a mix is never busier than that of the kinds by themselves.

    Parameters
    ----------
    shares
        Shares of the devices by the tokens of each kind ``(2, layers, devices)``.
    left_out
        The same without each unit ``(units, 2, layers, devices)``; not finite where a kind is then without a token.
    even, matched
        Drawn shares ``(draws, 2, layers, devices)``; `matched` may be None.
    weights
        Shares of the second kind.

    Examples
    --------
    >>> kinds = np.array([[[0.5, 0.5]], [[0.1, 0.9]]])
    >>> drawn = np.full((1, 2, 1, 2), 0.5)
    >>> found = mixed_loads(kinds, kinds[None], even=drawn, matched=drawn, weights=[0, 0.5, 1])
    >>> [round(one.busiest, 3) for one in found], found[1].even
    ([1.0, 1.4, 1.8], 1.0)
    """
    strata = np.zeros(len(left_out), dtype=np.int64)
    most = float(shares.shape[-1])
    found = []
    for weight in weights:
        value, without = float(_of_mix(shares, weight)), _of_mix(left_out, weight)
        ends = jackknife_interval(value, without, strata)
        ci = None if ends is None else (min(max(ends[0], 1.0), value), max(min(ends[1], most), value))
        of_both = None if matched is None else float(_of_mix(matched, weight).mean())
        found.append(MixedLoad(float(weight), value, ci, float(_of_mix(even, weight).mean()), of_both))
    return tuple(found)


def _of_mix(shares: NDArray[np.float64], weight: float) -> NDArray[np.float64]:  # (…,)
    mix = (1 - weight) * shares[..., 0, :, :] + weight * shares[..., 1, :, :]
    return np.asarray(busiest(mix).mean(axis=-1))
