"""The busiest device of contiguous experts, for two kinds of tokens."""

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats.kinds.bias import shares_of
from moexray.stats.kinds.devices import busiest, device_loads, mixed_loads
from moexray.stats.workloads.plain_placements import contiguous
from moexray.studies.kind_counts import KindCounts
from moexray.studies.kinds_result import BusiestDevice, KindDevices

# Shares of the second kind.
_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def check_devices(signatures: Signatures, devices: int) -> None:
    """Raise AnalysisError if the experts of a layer cannot be dealt evenly to the devices."""
    if devices < 1:
        message = f"`devices` is {devices}: it must be at least 1"
        raise AnalysisError(message)
    uneven = signatures.experts % devices > 0
    if uneven.any():
        place = int(uneven.argmax())
        message = (
            f"`devices` is {devices}, which does not divide the {int(signatures.experts[place])} experts of layer "
            f"{int(signatures.layers[place])}: use a divisor"
        )
        raise AnalysisError(message)


def kind_devices(
    signatures: Signatures,
    counts: KindCounts,
    devices: int,
    *,
    even: NDArray[np.int64],
    matched: NDArray[np.int64] | None,
) -> KindDevices:
    """Return the busiest device of each kind and of mixes of both.

    Parameters
    ----------
    signatures, counts
        What was recorded, and what each kind selects.
    devices
        How many devices the experts are on, neighbours together: see `check_devices`.
    even, matched
        Drawn loads of both kinds ``(draws, 2, layers, experts)``; `matched` is None where it cannot be drawn.
    """
    device = contiguous(signatures.experts.astype(np.int64), devices)
    shares, of_even = (shares_of(device_loads(one, device, devices)) for one in (counts.totals, even))
    of_matched = None if matched is None else shares_of(device_loads(matched, device, devices))
    recorded = float(counts.totals[1].sum() / counts.totals.sum())
    return KindDevices(
        devices=devices,
        recorded_share=recorded,
        layers=tuple(
            (_busiest_of(0, place, shares, of_even, of_matched), _busiest_of(1, place, shares, of_even, of_matched))
            for place in range(len(signatures.layers))
        ),
        mixed=mixed_loads(
            shares,
            _without_each(counts, device, devices, shares),
            held=np.stack(counts.held, axis=1),
            even=of_even,
            matched=of_matched,
            weights=sorted({*_SHARES, recorded}),
        ),
    )


def _busiest_of(
    kind: int, place: int, shares: NDArray[np.float64], even: NDArray[np.float64], matched: NDArray[np.float64] | None
) -> BusiestDevice:
    return BusiestDevice(
        device=int(shares[kind, place].argmax()),
        busiest=float(busiest(shares[kind, place])),
        even=float(busiest(even[:, kind, place]).mean()),
        matched=None if matched is None else float(busiest(matched[:, kind, place]).mean()),
    )


def _without_each(
    counts: KindCounts, device: NDArray[np.int64], devices: int, shares: NDArray[np.float64]
) -> NDArray[np.float64]:  # (units, 2, layers, devices)
    """Return the shares without each unit; not a number where a kind is then without a selection.

    Where units were sampled, what one of them changes is known of the sample, and added to the shares of all.
    """
    loads = np.stack([device_loads(one, device, devices) for one in (counts.first, counts.second)], axis=1)
    total = loads.sum(axis=0)
    left = total - loads
    there = left.sum(axis=-1, keepdims=True) > 0
    return np.asarray(np.where(there, shares_of(left), np.nan) - shares_of(total) + shares)
