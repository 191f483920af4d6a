"""Experts that are selected together on one device: a graph cut by METIS."""

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

# METIS wants whole numbers of 32 bits, whose sums must fit as well.
_LARGEST = 10_000


def graph_devices(pairs: NDArray[np.number], devices: int) -> NDArray[np.int64]:  # (experts,)
    """Cut the graph of one layer's co-activation into parts of equal size; return the device of each expert.

    METIS minimises the weight of the edges between parts. Its parts may differ a little in size: experts then move, one
    by one, from a part that is too large to one that has room, where that costs the least co-activation.

    Parameters
    ----------
    pairs
        How many tokens select both of two experts ``(experts, experts)``.
    devices
        A divisor of the number of experts.

    Raises
    ------
    NotComputable
        If pymetis is not installed.
    """
    try:
        import pymetis
    except ModuleNotFoundError as error:
        message = "a graph is cut by pymetis, which is not installed: pip install 'moexray[graph]'"
        raise NotComputable(message) from error
    experts = len(pairs)
    together = pairs.astype(np.float64)
    np.fill_diagonal(together, 0)
    if devices in {1, experts} or not together.any():
        return np.arange(experts) * devices // experts
    weights = np.maximum(np.rint(together * (_LARGEST / together.max())), 1).astype(np.int64)
    others = ~np.eye(experts, dtype=bool)
    _, part = pymetis.part_graph(
        devices,
        pymetis.CSRAdjacency(np.arange(experts + 1) * (experts - 1), np.nonzero(others)[1]),
        eweights=weights[others],
        options=pymetis.Options(seed=0),
    )
    return _evened(together, np.array(part), devices)


def _evened(together: NDArray[np.float64], part: NDArray[np.int64], devices: int) -> NDArray[np.int64]:
    room = len(part) // devices
    while (np.bincount(part, minlength=devices) > room).any():
        sizes = np.bincount(part, minlength=devices)
        with_part = together @ np.eye(devices)[part]  # (experts, devices)
        cost = with_part[np.arange(len(part)), part][:, None] - with_part
        cost[sizes[part] <= room] = np.inf
        cost[:, sizes >= room] = np.inf
        expert, target = np.divmod(int(cost.argmin()), devices)
        part[expert] = target
    return part
