"""What a file of a placement is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.placement_learning import loads_by
from moexray.studies.placement_results import PlacementMap, PlacementStudy

R = TypeVar("R")


@dataclass(frozen=True)
class FileTask:
    """A placement, and the model that it is for.

    Attributes
    ----------
    layers, experts
        Index in the model, and number of experts, of each MoE layer.
    devices, redundant
        Devices, and slots beyond one for each expert.
    loads
        Selections of each expert ``(layers, experts)``.
    map
        The placement; None before it is known, and for a file of loads.
    decoder_layers
        All decoder layers of the model, dense ones among them; None where that was not said.
    """

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    devices: int
    redundant: int
    loads: NDArray[np.int64]
    map: PlacementMap | None = None
    decoder_layers: int | None = None

    @property
    def placement(self) -> PlacementMap:
        """The placement, where there must be one."""
        if self.map is None:
            message = "a file of a placement needs the map of one: give `placement`"
            raise AnalysisError(message)
        return self.map

    @property
    def held(self) -> NDArray[np.int64]:  # (layers, devices, slots)
        """The expert in each slot of each device."""
        return np.array([layer.devices for layer in self.placement.layers], dtype=np.int64)

    def check_rectangle(self, server: str) -> None:
        """Raise AnalysisError where layers differ in their number of experts, since a file has one width."""
        if len(set(self.experts)) > 1:
            message = (
                f"layers have {min(self.experts)} to {max(self.experts)} experts, and a file for {server} holds as "
                "many for each"
            )
            raise AnalysisError(message)

    def decoder_rows(self, rows: Sequence[R], dense: R) -> list[R]:
        """Return a row for every decoder layer: those of MoE layers, and `dense` for each other.

        SGLang counts all decoder layers, ``num_hidden_layers`` of the configuration, and looks a layer up by its index.
        Where MoE layers are all layers from the first on, the last one is taken for the model's last.

        Raises
        ------
        AnalysisError
            If there are dense layers and `decoder_layers` is not given, or it is too small.
        """
        number, last = self.decoder_layers, self.layers[-1]
        if number is None:
            if self.layers != tuple(range(len(self.layers))):
                message = (
                    f"the MoE layers of this model are {_shown(self.layers)}, and SGLang's file has a row for dense "
                    "layers as well: give `decoder_layers`, which is num_hidden_layers in the model's config.json"
                )
                raise AnalysisError(message)
            number = last + 1
        if number <= last:
            message = (
                f"`decoder_layers` is {number}, and layer {last} is among the MoE layers: count all decoder layers"
            )
            raise AnalysisError(message)
        found = [dense] * number
        for layer, row in zip(self.layers, rows, strict=True):
            found[layer] = row
        return found


def _shown(layers: tuple[int, ...]) -> str:
    return ", ".join(map(str, layers)) if len(layers) < 8 else f"{layers[0]}, {layers[1]}, … {layers[-1]}"


def file_task(
    signatures: Signatures, *, devices: int, decoder_layers: int | None = None, study: PlacementStudy | None = None
) -> FileTask:
    """Return what a file is made of: the map of a study, and the loads of the tokens that it counted.

    Parameters
    ----------
    signatures
        What was studied.
    devices
        How many devices there are.
    decoder_layers
        All decoder layers of the model.
    study
        None before it is made: what is wrong without it can be told at once.
    """
    every = np.zeros(len(signatures), dtype=np.int64)
    loads = np.zeros(signatures.shape[2:], dtype=np.int64)
    return FileTask(
        layers=tuple(signatures.layers.tolist()),
        experts=tuple(signatures.experts.tolist()),
        devices=devices,
        redundant=0 if study is None else study.redundant,
        loads=loads if study is None else loads_by(signatures, [study.tokens], every, 1)[0, 0],
        map=None if study is None else study.map,
        decoder_layers=decoder_layers,
    )
