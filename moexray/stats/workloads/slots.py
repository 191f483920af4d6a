"""Slots: which expert each place of each device holds, of every layer, and what follows from that alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Slots:
    """Where the experts of some layers are; an expert may be on several devices, or on one several times.

    Attributes
    ----------
    held
        The expert in each slot ``(layers, devices, slots)``, −1 where a device of that layer has fewer slots.
    experts
        How many experts each layer has ``(layers,)``.

    Raises
    ------
    ValueError
        If a layer lacks one of its experts, or holds one that it does not have.
    """

    held: NDArray[np.int64]
    experts: NDArray[np.int64]

    def __post_init__(self) -> None:
        for place, (held, experts) in enumerate(zip(self.held, self.experts.tolist(), strict=True)):
            found = np.unique(held[held >= 0])
            if not np.array_equal(found, np.arange(experts)):
                message = f"layer {place} of a placement holds experts {found.tolist()}, not all of {experts}"
                raise ValueError(message)

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return int(self.held.shape[1])

    @cached_property
    def _copies(self) -> NDArray[np.int64]:  # (layers, devices, experts + 1)
        layers, devices, _ = self.held.shape
        found = np.zeros((layers, devices, int(self.experts.max()) + 1), dtype=np.int64)
        np.add.at(
            found, (*np.ogrid[:layers, :devices, :1][:2], self.held), 1
        )  # the last column takes what is no expert
        return found

    @cached_property
    def replicas(self) -> NDArray[np.int64]:  # (layers, experts)
        """How many slots hold each expert; 0 for experts that a layer does not have."""
        return np.asarray(self._copies.sum(axis=1)[:, :-1])

    @cached_property
    def shares(self) -> NDArray[np.float64]:  # (layers, experts, devices)
        """The share of an expert's replicas that each device holds: 1 on its device where it has no other.

        Selections of an expert are spread evenly over its replicas, without a look at the token's other experts, as
        vLLM does, and SGLang with ``--ep-dispatch-algorithm dynamic``. So a share is also the probability that a
        token's selection goes to that device.
        """
        copies = self._copies[:, :, :-1].swapaxes(1, 2)
        return np.asarray(copies / np.maximum(self.replicas, 1)[:, :, None])

    def of_layer(self, layer: int) -> NDArray[np.int64]:  # (slots,)
        """Return the expert in each slot of one layer, device by device: a ``physical_to_logical_map``."""
        held = self.held[layer]
        return np.asarray(held[held >= 0])

    def places(self, layer: int) -> NDArray[np.int64]:  # (experts, most replicas)
        """Return the slots that hold each expert of one layer, padded by −1: a ``logical_to_physical_map``."""
        held = self.of_layer(layer)
        order = np.argsort(held, kind="stable")
        counts = np.bincount(held)
        rank = np.arange(len(held)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.full((len(counts), int(counts.max())), -1)
        found[held[order], rank] = order
        return found


def slots_of(device: NDArray[np.integer], devices: int, experts: NDArray[np.integer]) -> Slots:
    """Return the slots of experts that are on one device each, in the order of their numbers.

    Parameters
    ----------
    device
        The device of each expert ``(layers, experts)``; what stands beyond a layer's experts does not matter.
    devices
        How many devices there are.
    experts
        How many experts each layer has ``(layers,)``.
    """
    sizes = [np.bincount(row[:n], minlength=devices) for row, n in zip(device, experts.tolist(), strict=True)]
    held = np.full((len(device), devices, max(int(size.max()) for size in sizes)), -1)
    for layer, (row, size, n) in enumerate(zip(device, sizes, experts.tolist(), strict=True)):
        order = np.argsort(row[:n], kind="stable")
        held[layer, row[:n][order], np.arange(n) - np.repeat(np.cumsum(size) - size, size)] = order
    return Slots(held, experts.astype(np.int64))
