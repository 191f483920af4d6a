"""The balance of every layer over a window of training: what is logged, printed and written to a file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import CaptureError, NotComputable
from moexray.generation import number
from moexray.stats.layers.load import layer_loads
from moexray.stats.layers.violation import max_violations

# An expert is dead if it has less than this share of the mean load of its layer.
DEAD_BELOW = 0.01
_PREFIX = "routing"


@dataclass(frozen=True)
class LayerRouting:
    """The balance of one layer over a window.

    Attributes
    ----------
    layer
        Index of the decoder layer.
    selections
        Selections of each expert ``(experts,)``.
    dropped
        Selections that the router left out, which are in no load.
    entropy
        Entropy of the experts' shares of selections, divided by that of equal shares: 1 is even, 0 is one expert.
    effective_experts
        The number of experts that equal shares of the same entropy would have: exp of the entropy in nats.
    maxvio
        Greatest load over mean load minus one, of the window (MaxVio: arXiv:2408.15664).
    maxvio_batch
        Mean over batches of the MaxVio of each batch that selected anything.
    dead_experts
        Experts with fewer selections than the stated share of the mean load.
    """

    layer: int
    selections: tuple[int, ...]
    dropped: int
    entropy: float
    effective_experts: float
    maxvio: float
    maxvio_batch: float
    dead_experts: int


@dataclass(frozen=True)
class RoutingReport:
    """The balance of all layers over a window of batches.

    Attributes
    ----------
    batches
        Batches of the window: steps of the optimizer, over all processes and accumulated passes.
    passes, left_out
        Forward passes that were counted, and those that were not: in evaluation mode or without gradients.
    tokens, unmasked
        Tokens that were counted, and those among them that came without a mask of padding.
    dead_below
        The share of the mean load below which an expert is dead.
    layers
        Layer by layer.
    """

    batches: int
    passes: int
    left_out: int
    tokens: int
    unmasked: int
    dead_below: float
    layers: tuple[LayerRouting, ...]

    def metrics(self, *, per_layer: bool = False) -> dict[str, float]:
        """Return the numbers for a log, by keys that stay the same over a run.

        Parameters
        ----------
        per_layer
            Add four numbers of each layer.
        """
        entropy, effective, maxvio, in_batch, dead = (
            np.array([getattr(one, name) for one in self.layers], dtype=np.float64)
            for name in ("entropy", "effective_experts", "maxvio", "maxvio_batch", "dead_experts")
        )
        found = {
            "entropy/mean": entropy.mean(),
            "entropy/min": entropy.min(),
            "effective_experts/mean": effective.mean(),
            "maxvio/mean": maxvio.mean(),
            "maxvio/max": maxvio.max(),
            "maxvio_batch/mean": in_batch.mean(),
            "maxvio_batch/max": in_batch.max(),
            "dead_experts/sum": dead.sum(),
            "tokens": self.tokens,
        }
        if per_layer:
            for one in self.layers:
                for name in ("entropy", "maxvio", "maxvio_batch", "dead_experts"):
                    found[f"layer_{one.layer:02d}/{name}"] = getattr(one, name)
        return {f"{_PREFIX}/{name}": float(value) for name, value in found.items()}

    def record(self) -> dict[str, Any]:
        """Return all of the report as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        head = f"{self.batches:,} batches, {self.passes:,} passes, {self.tokens:,} tokens"
        if self.unmasked:
            head += f", {self.unmasked:,} of them without a mask"
        rows = [f"{'layer':>5}  {'entropy':>7}  {'experts':>7}  {'MaxVio':>7}  {'a batch':>7}  {'dead':>4}"]
        rows += [
            f"{one.layer:>5}  {one.entropy:>7.4f}  {one.effective_experts:>7.2f}  {one.maxvio:>7.3f}"
            f"  {one.maxvio_batch:>7.3f}  {one.dead_experts:>4}"
            for one in self.layers
        ]
        return "\n".join([head, *rows])


def check_dead_below(share: float) -> float:
    """Return the share of the mean load below which an expert is dead.

    Raises
    ------
    CaptureError
        If it is no number from 0 to 1.
    """
    if not 0 <= number("dead_below", share, float) <= 1:
        message = f"`dead_below` is {share}: it must be a share of the mean load, from 0 to 1"
        raise CaptureError(message)
    return float(share)


def balance_of_layers(
    layers: Sequence[int],
    experts: Sequence[int],
    selections: NDArray[np.int64],
    dropped: NDArray[np.int64],
    *,
    dead_below: float,
) -> tuple[LayerRouting, ...]:
    """Return the balance of each layer.

    Parameters
    ----------
    layers, experts
        The index of each layer and the number of its experts.
    selections
        Selections of each expert in each batch ``(batches, layers, most experts)``.
    dropped
        Selections that were left out ``(layers,)``.
    dead_below
        The share of the mean load below which an expert is dead.

    Raises
    ------
    NotComputable
        If a layer selected nothing at all.
    """
    sizes = np.array(experts)
    totals = selections.sum(axis=0)
    empty = np.flatnonzero(totals.sum(axis=1) == 0)
    if len(empty):
        message = f"layer {layers[empty[0]]} selected no expert in this window: its balance cannot be computed"
        raise NotComputable(message)
    in_batches = np.nanmean(max_violations(selections, sizes), axis=0)  # a batch may be all padding
    found = []
    for place, measured in enumerate(layer_loads(totals, sizes)):
        load = totals[place, : sizes[place]]
        found.append(
            LayerRouting(
                layer=layers[place],
                selections=tuple(load.tolist()),
                dropped=int(dropped[place]),
                entropy=measured.entropy,
                effective_experts=float(sizes[place] ** measured.entropy),
                maxvio=measured.max_over_mean - 1,
                maxvio_batch=float(in_batches[place]),
                dead_experts=int((load < dead_below * load.mean()).sum()),
            )
        )
    return tuple(found)
