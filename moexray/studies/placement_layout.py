"""The devices that experts are placed on, and whether they divide as servers need it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.signatures import Signatures


@dataclass(frozen=True)
class DeviceLayout:
    """Devices and the experts that they share.

    Attributes
    ----------
    layers, experts
        Index in the model, and number of experts, of each MoE layer ``(layers,)``.
    devices, nodes, groups, redundant
        As of `moexray.studies.placement_results.PlacementStudy`.
    """

    layers: tuple[int, ...]
    experts: NDArray[np.int64]
    devices: int
    nodes: int = 1
    groups: int | None = None
    redundant: int = 0

    @property
    def even(self) -> bool:
        """Whether devices can hold equally many experts without redundant ones."""
        return not (self.experts % self.devices).any()

    @property
    def uneven(self) -> str:
        """Why they cannot."""
        return (
            f"{self._first(self.experts % self.devices > 0)} cannot be dealt evenly to {self.devices} devices: only "
            "EPLB fills redundant slots"
        )

    @property
    def same(self) -> bool:
        """Whether all layers have as many experts."""
        return bool((self.experts == self.experts[0]).all())

    def _first(self, wrong: NDArray[np.bool_]) -> str:
        place = int(wrong.argmax())
        number = int(self.experts[place])
        return f"the {number} expert{'' if number == 1 else 's'} of layer {self.layers[place]}"


def device_layout(
    signatures: Signatures, *, devices: int, nodes: int = 1, groups: int | None = None, redundant: int = 0
) -> DeviceLayout:
    """Return the layout.

    Raises
    ------
    AnalysisError
        If devices, nodes and groups do not divide the experts, slots and each other.
    """
    for name, value, least in (("devices", devices, 1), ("nodes", nodes, 1), ("redundant", redundant, 0)):
        if value < least:
            message = f"`{name}` is {value}: it must be at least {least}"
            raise AnalysisError(message)
    layout = DeviceLayout(
        layers=tuple(signatures.layers.tolist()),
        experts=signatures.experts.astype(np.int64),
        devices=devices,
        nodes=nodes,
        groups=groups,
        redundant=redundant,
    )
    most = int(layout.experts.max()) * (devices - 1)
    if redundant > most:
        message = f"`redundant` is {redundant}: {most} slots more let each of {devices} devices hold every expert"
        raise AnalysisError(message)
    slots = layout.experts + redundant
    few = slots < devices
    if few.any():
        place = int(few.argmax())
        message = (
            f"`devices` is {devices}, and layer {layout.layers[place]} has {layout.experts[place]} experts"
            f"{f' and {redundant} redundant slots' if redundant else ''}: a device would hold none; use fewer"
        )
        raise AnalysisError(message)
    uneven = slots % devices > 0
    if uneven.any():
        place = int(uneven.argmax())
        more = redundant + int(-slots[place] % devices)
        message = (
            f"layer {layout.layers[place]} has {slots[place]} slots for experts, which cannot be dealt evenly to "
            f"`devices={devices}`: use a divisor"
        )
        if not ((layout.experts + more) % devices).any():  # else no number of redundant slots suits every layer
            message += f", or `redundant={more}`"
        raise AnalysisError(message)
    _check_nodes(layout)
    return layout


def _check_nodes(layout: DeviceLayout) -> None:
    devices, nodes, groups = layout.devices, layout.nodes, layout.groups
    if devices % nodes:
        message = f"`nodes` is {nodes}, which does not divide the {devices} devices: each node has as many"
        raise AnalysisError(message)
    if nodes == 1 and groups is not None:
        message = f"`groups` is {groups}, which matters between nodes only: give `nodes` as well"
        raise AnalysisError(message)
    if groups is None:
        bad = layout.experts % nodes > 0
        if bad.any():
            message = f"`nodes` is {nodes}, which does not divide {layout._first(bad)}"
            raise AnalysisError(message)
        return
    if groups < 1 or groups % nodes:
        message = f"`groups` is {groups}: it must be a multiple of the {nodes} nodes, which hold whole groups"
        raise AnalysisError(message)
    bad = layout.experts % groups > 0
    if bad.any():
        message = f"`groups` is {groups}, which does not divide {layout._first(bad)}"
        raise AnalysisError(message)
