"""What placements are learnt from: loads, and how often two experts are selected together, on half of the prompts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.workloads.coactivation_groups import coactivation_devices
from moexray.stats.workloads.device_loads import marks_of
from moexray.stats.workloads.eplb import eplb
from moexray.stats.workloads.graph_devices import graph_devices
from moexray.stats.workloads.plain_placements import category_bins, contiguous, round_robin
from moexray.stats.workloads.slots import Slots, slots_of
from moexray.studies.notes import Notes
from moexray.studies.placement_layout import DeviceLayout
from moexray.studies.trace_blocks import TraceBlocks

NO_TRACE = (
    "there is no trace, so only loads are known: `moexray capture --record trace` writes one beside the signatures"
)
# Placements that depend on what was learnt, and are scored on other categories as well.
DRIFTING = ("eplb", "coactivation")


@dataclass(frozen=True)
class Learnt:
    """Sums over prompts that placements learn from, for some kinds of prompts apart.

    Attributes
    ----------
    loads
        Selections ``(kinds, layers, experts)``.
    pairs
        Tokens that select both of two experts ``(kinds, layers, experts, experts)``, or of all kinds together; None
        without a trace.
    of_tokens
        Selections by each kind of tokens, as text and image ``(kinds of tokens, layers, experts)``; None where tokens
        are of one kind.
    """

    loads: NDArray[np.int64]
    pairs: NDArray[np.float64] | None
    of_tokens: NDArray[np.int64] | None = None

    def of(self, kind: int) -> "Learnt":
        """Return the sums of one kind."""
        apart = self.pairs is not None and len(self.pairs) == len(self.loads)
        return Learnt(self.loads[[kind]], self.pairs[[kind]] if apart and self.pairs is not None else None)


def loads_by(signatures: Signatures, tokens: Sequence[str], kinds: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Add up loads ``(kinds, selectors, layers, experts)`` of the prompts of each kind; −1 is none."""
    _, _, layers, experts = signatures.shape
    found = np.zeros((number, len(tokens), layers, experts), dtype=np.int64)
    start = 0
    for block in signatures.blocks():
        of_block = kinds[start : start + len(block)]
        start += len(block)
        for place, selector in enumerate(tokens):
            loads = block.loads(selector)
            for kind in np.unique(of_block[of_block >= 0]).tolist():
                found[kind, place] += loads[of_block == kind].sum(axis=0)
    return found


def pairs_by(blocks: TraceBlocks, tokens: str, kinds: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    """Count tokens ``(kinds, layers, experts, experts)`` of each kind's prompts that select both of two experts."""
    _, _, layers, width = blocks.signatures.shape
    found = np.zeros((number, layers, width, width))
    for block in blocks:
        some = block.select(tokens)
        of_token = kinds[some.prompts]
        for kind in np.unique(of_token[of_token >= 0]).tolist():
            selected = some.experts[of_token == kind]
            for layer in range(layers):
                marks = marks_of(selected[:, layer], width)
                found[kind, layer] += marks.T @ marks  # whole numbers below 2^24: exact in single precision
    return found


def learnt_placements(learnt: Learnt, layout: DeviceLayout, notes: Notes) -> dict[str, Slots | None]:
    """Return every placement but random ones; None and a note for one that cannot be made."""
    experts, devices = layout.experts, layout.devices
    loads = learnt.loads.sum(axis=0)

    def even(device: Callable[[], NDArray[np.int64]]) -> Callable[[], Slots]:
        def made() -> Slots:
            if not layout.even:
                raise NotComputable(layout.uneven)
            return slots_of(device(), devices, experts)

        return made

    makers: dict[str, Callable[[], Slots]] = {
        "contiguous": even(lambda: contiguous(experts, devices)),
        "round_robin": even(lambda: round_robin(experts, devices)),
        "eplb": lambda: eplb_slots(loads, layout),
    }
    if layout.nodes > 1:
        makers["eplb_hierarchical"] = lambda: eplb_slots(loads, layout, hierarchical=True)
    makers |= {
        "coactivation": even(lambda: coactivation(learnt.pairs, layout)),
        "graph": even(lambda: graph(learnt.pairs, layout)),
        "categories": even(lambda: categories(learnt.loads, layout)),
    }
    if learnt.of_tokens is not None:
        of_tokens = learnt.of_tokens
        makers["kinds"] = even(lambda: token_kinds(of_tokens, layout))
    return {name: notes.attempt(name, maker) for name, maker in makers.items()}


def drifting_placements(learnt: Learnt, layout: DeviceLayout) -> Mapping[str, Slots]:
    """Return the placements of `DRIFTING` that one kind of prompts teaches."""
    found = {"eplb": eplb_slots(learnt.loads.sum(axis=0), layout)}
    if layout.even and learnt.pairs is not None:
        found["coactivation"] = slots_of(coactivation(learnt.pairs, layout), layout.devices, layout.experts)
    return found


def eplb_slots(loads: NDArray[np.int64], layout: DeviceLayout, *, hierarchical: bool = False) -> Slots:
    """Return what EPLB makes of these loads ``(layers, experts)``."""
    numbers = np.unique(layout.experts).tolist()
    slots = (max(numbers) + layout.redundant) // layout.devices
    held = np.full((len(loads), layout.devices, slots), -1)
    for number in numbers:
        alike = layout.experts == number
        groups = (layout.groups or number) if hierarchical else 1
        made = eplb(
            loads[alike, :number],
            devices=layout.devices,
            redundant=layout.redundant,
            groups=groups,
            nodes=layout.nodes if hierarchical else 1,
        )
        held[alike, :, : made.shape[2]] = made
    return Slots(held, layout.experts)


def coactivation(pairs: NDArray[np.float64] | None, layout: DeviceLayout) -> NDArray[np.int64]:
    """Return the device of each expert by Occult's greedy placement ``(layers, experts)``."""
    return _by_width(
        lambda some, number: coactivation_devices(some[:, :number, :number], layout.devices), pairs, layout
    )


def graph(pairs: NDArray[np.float64] | None, layout: DeviceLayout) -> NDArray[np.int64]:
    """Return the device of each expert by a graph cut ``(layers, experts)``."""

    def cut(some: NDArray[np.float64], number: int) -> NDArray[np.int64]:
        return np.stack([graph_devices(one[:number, :number], layout.devices) for one in some])

    return _by_width(cut, pairs, layout)


def categories(loads: NDArray[np.int64], layout: DeviceLayout) -> NDArray[np.int64]:
    """Return the device of each expert by the category that prefers it ``(layers, experts)``."""
    return _bins(loads, layout, missing="the prompts to learn from are of one category, or of too many to hold apart")


def token_kinds(loads: NDArray[np.int64], layout: DeviceLayout) -> NDArray[np.int64]:
    """Return the device of each expert by the kind of tokens that prefers it, as SMoES' bins ``(layers, experts)``."""
    return _bins(loads, layout, missing="the prompts to learn from hold one kind of tokens only")


def _bins(loads: NDArray[np.int64], layout: DeviceLayout, *, missing: str) -> NDArray[np.int64]:
    """Place by the loads of several classes; where there are fewer than two, that cannot be done, for a reason."""
    some = loads[loads.any(axis=(1, 2))]
    if len(some) < 2:
        raise NotComputable(missing)
    return _by_width(
        lambda one, number: category_bins(one[:, :, :number].swapaxes(0, 1), layout.devices),
        some.swapaxes(0, 1),
        layout,
    )


def _by_width(
    place: Callable[[NDArray[Any], int], NDArray[np.int64]],
    sums: NDArray[Any] | None,
    layout: DeviceLayout,
) -> NDArray[np.int64]:
    """Place the layers of each number of experts together; `sums` has a row for each layer, added up over kinds."""
    if sums is None:
        raise NotComputable(NO_TRACE)
    of_layers = sums.sum(axis=0) if sums.ndim == 4 else sums
    found = np.zeros((len(layout.experts), int(layout.experts.max())), dtype=np.int64)
    for number in np.unique(layout.experts).tolist():
        alike = layout.experts == number
        found[alike, :number] = place(of_layers[alike], number)
    return found
