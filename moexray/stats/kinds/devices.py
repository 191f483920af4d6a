"""The busiest device of a placement, by kind of token, and as the share of one kind grows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.busiest import raised_by_chance
from moexray.stats.inference.jackknife import LEAST_UNITS, jackknife_interval
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
        None where fewer than three units hold a kind that the mix has.
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
    held: NDArray[np.bool_] | None = None,
    even: NDArray[np.float64],
    matched: NDArray[np.float64] | None,
    weights: Sequence[float],
) -> tuple[MixedLoad, ...]:
    """Return the busiest device for some shares of the second kind.

    Load is (1 − w) · the first kind's share + w · the second's, of each device: what many tokens would load it with if
    a share w of them were of the second kind, and each kind were routed as it was recorded. It is convex in w, so the
    busiest device of a mix is never busier than that of the kinds by themselves.

    The interval is a jackknife over the units that hold a kind of the mix; where one kind is in few units, these are a
    sample of their own. The greatest of several shares is too great by chance. So the lower end is lowered by the
    expected maximum of the noise of the devices that may be the busiest: those within two standard errors of it, as
    in the selection step of V. Chernozhukov, S. Lee and A. Rosen (Econometrica 81, 2013).

    Parameters
    ----------
    shares
        Shares of the devices by the tokens of each kind ``(2, layers, devices)``.
    left_out
        The same without each unit ``(units, 2, layers, devices)``; not finite where a kind is then without a token.
    held
        Whether each unit holds each kind ``(units, 2)``; by default every unit holds both.
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
    if held is None:
        held = np.ones((len(left_out), 2), dtype=bool)
    found = []
    for weight in weights:
        mix = _mix(shares, weight)
        value = float(busiest(mix).mean())
        ci = _interval(mix, left_out, held, weight)
        of_both = None if matched is None else float(busiest(_mix(matched, weight)).mean())
        found.append(MixedLoad(float(weight), value, ci, float(busiest(_mix(even, weight)).mean()), of_both))
    return tuple(found)


def _mix(shares: NDArray[np.float64], weight: float) -> NDArray[np.float64]:  # (…, layers, devices)
    """Return the mix of two kinds; a kind without a part in it may be not finite."""
    parts = [(1 - weight, shares[..., 0, :, :]), (weight, shares[..., 1, :, :])]
    return np.asarray(sum(share * one for share, one in parts if share > 0))


def _interval(
    mix: NDArray[np.float64], left_out: NDArray[np.float64], held: NDArray[np.bool_], weight: float
) -> Interval | None:
    kinds = [kind for kind, share in enumerate((1 - weight, weight)) if share > 0]
    rows = held[:, kinds].any(axis=1)
    numbers = held[:, kinds].sum(axis=0)
    if numbers.min() < LEAST_UNITS:
        return None
    rarer = held[rows][:, kinds[int(numbers.argmin())]]
    strata = rarer.astype(np.int64) if (~rarer).sum() >= LEAST_UNITS else np.zeros(len(rarer), dtype=np.int64)
    left, value = _mix(left_out[rows], weight), float(busiest(mix).mean())
    ends = jackknife_interval(value, busiest(left).mean(axis=-1), strata)
    if ends is None:
        return None
    low = ends[0] - float(raised_by_chance(mix, left, strata).mean())
    return min(max(low, 1.0), value), max(min(ends[1], float(mix.shape[-1])), value)
