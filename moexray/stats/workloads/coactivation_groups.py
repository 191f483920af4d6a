"""Experts that are selected together on one device: Occult's greedy placement."""

import numpy as np
from numpy.typing import NDArray


def coactivation_devices(pairs: NDArray[np.number], devices: int) -> NDArray[np.int64]:  # (layers, experts)
    """Place experts so that those of one token share devices; return the device of each expert.

    The pair that is selected together most opens the first device. Each further device opens with the unplaced expert
    that has the least mean co-activation with all placed ones. Then device by device takes, until it is full, the
    unplaced expert that has the highest mean co-activation with those it holds (Occult, arXiv:2505.13345). Loads do not
    count, so a device may get the experts that are selected most.

    Parameters
    ----------
    pairs
        How many tokens select both of two experts ``(layers, experts, experts)``; diagonals do not matter.
    devices
        A divisor of the number of experts.

    Raises
    ------
    ValueError
        If it is none.
    """
    layers, experts, _ = pairs.shape
    if experts % devices:
        message = f"{experts} experts do not fit {devices} devices evenly"
        raise ValueError(message)
    room = experts // devices
    found = np.full((layers, experts), -1)
    if room == 1:
        found[:] = np.arange(experts)
        return found
    apart = pairs.astype(np.float64)
    diagonal = np.arange(experts)
    apart[:, diagonal, diagonal] = 0
    each = np.arange(layers)
    # Sums over the placed experts, and over those of a device: means only divide them by one number.
    with_placed, with_device = np.zeros((layers, experts)), np.zeros((layers, devices, experts))

    def put(expert: NDArray[np.int64], device: int) -> None:
        found[each, expert] = device
        with_placed[...] += apart[each, expert]
        with_device[:, device] += apart[each, expert]

    off = apart.copy()
    off[:, diagonal, diagonal] = -1
    first, second = np.divmod(np.argmax(off.reshape(layers, -1), axis=1), experts)
    put(first, 0)
    put(second, 0)
    for device in range(1, devices):
        put(np.argmin(np.where(found < 0, with_placed, np.inf), axis=1), device)
    for device in range(devices):
        for _ in range(room - (2 if device == 0 else 1)):
            put(np.argmax(np.where(found < 0, with_device[:, device], -np.inf), axis=1), device)
    return found
