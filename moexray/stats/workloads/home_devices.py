"""The home of a kind of tokens: the device from which its tokens are sent, and what leaves it."""

import numpy as np
from numpy.typing import NDArray


def homes_of(loads: NDArray[np.number], shares: NDArray[np.float64]) -> NDArray[np.int64]:  # (kinds,)
    """Return the device that holds most of what each kind selects, over all layers: one device for all of them.

    A token starts from one device, and comes back to it after every layer. So a home is a device of all layers, by its
    number. The first of equals is taken; two kinds may have one home.

    Parameters
    ----------
    loads
        Selections of each kind ``(kinds, layers, experts)``.
    shares
        Of each expert's replicas, those on each device ``(layers, experts, devices)``.

    Examples
    --------
    >>> shares = np.array([[[1, 0], [1, 0], [0, 1], [0, 1]]])
    >>> homes_of(np.array([[[5, 1, 2, 2]], [[0, 1, 2, 9]]]), shares).tolist()
    [0, 1]
    """
    return np.asarray(np.einsum("kle,led->kd", loads, shares).argmax(axis=1))


def sends_at_home(loads: NDArray[np.number], shares: NDArray[np.float64], home: int) -> NDArray[np.float64]:  # (…, 2)
    """Return how many selections stay on a device, and how many there are.

    Parameters
    ----------
    loads
        Selections ``(…, layers, experts)``.
    shares
        As of `homes_of`.
    home
        The device.
    """
    stay = (loads * shares[:, :, home]).sum(axis=(-2, -1))
    return np.stack([stay, loads.sum(axis=(-2, -1))], axis=-1)
