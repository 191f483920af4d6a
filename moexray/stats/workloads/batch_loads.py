"""Steps of a server: batches of different prompts, the load of devices, and the experts that they read."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.workloads.slots import Slots


@dataclass(frozen=True)
class Batches:
    """Batches of different prompts at the same step.

    Attributes
    ----------
    prompts
        The prompts of each batch ``(batches, size)``.
    steps
        The step of each batch ``(batches,)``: which of their tokens.
    """

    prompts: NDArray[np.int64]
    steps: NDArray[np.int64]


def drawn_batches(lengths: NDArray[np.integer], size: int, *, number: int, rng: int | Generator) -> Batches:
    """Draw batches: a step at random, by how many prompts have it, then different prompts of those.

    Parameters
    ----------
    lengths
        Tokens of each prompt ``(prompts,)``: it has the steps below.
    size
        Prompts of a batch.
    number
        How many batches.
    rng
        Seed or generator.

    Raises
    ------
    NotComputable
        If no step has that many prompts.
    """
    generator = np.random.default_rng(rng)
    order = np.argsort(-lengths, kind="stable")
    if len(order) < size or lengths[order[size - 1]] < 1:
        message = f"a batch of {size} needs as many scored prompts, and there are {int((lengths > 0).sum())}"
        raise NotComputable(message)
    # So many prompts have a step: those that come first by length.
    having = np.searchsorted(-lengths[order], -np.arange(int(lengths[order[size - 1]])), side="left")
    steps = np.sort(generator.choice(len(having), size=number, p=having / having.sum()))
    picked = [generator.choice(int(having[step]), size=size, replace=False) for step in steps]
    return Batches(order[np.array(picked)], steps)


@dataclass(frozen=True)
class BatchLoads:
    """What each batch costs under a placement, averaged over layers.

    Attributes
    ----------
    balancedness
        Mean load of the devices divided by the largest ``(batches, …)``.
    busiest
        Distinct experts that the device with most of them reads ``(batches, …)``.
    """

    balancedness: NDArray[np.float64]
    busiest: NDArray[np.float64]


def expert_counts(selected: NDArray[np.integer], experts: int) -> NDArray[np.float32]:  # (layers, batches, experts)
    """Count how many tokens of each batch select each expert.

    Parameters
    ----------
    selected
        ``(batches, size, layers, k)``, −1 for none.
    experts
        Experts of the widest layer.
    """
    batches, _, layers, _ = selected.shape
    cell = np.arange(layers)[:, None] * batches + np.arange(batches)[:, None, None, None]
    width = experts + 1  # the first column takes what is no selection
    counts = np.bincount((cell * width + 1 + selected).ravel(), minlength=layers * batches * width)
    return counts.reshape(layers, batches, width)[:, :, 1:].astype(np.float32)


def batch_loads(
    selected: NDArray[np.integer], counts: NDArray[np.float32], slots: Slots, *, rng: int | Generator
) -> BatchLoads:
    """Return what each batch costs; a selection of an expert with replicas goes to one of them at random.

    Parameters
    ----------
    selected, counts
        As of `expert_counts`, and what it returns.
    slots
        The placement.
    rng
        Seed or generator of the replicas that tokens are sent to.
    """
    if slots.replicas.max() > 1:
        return _with_replicas(selected, slots, np.random.default_rng(rng))
    shares = slots.shares.astype(np.float32)
    return loads_of(counts @ shares, (counts > 0).astype(np.float32) @ shares)


def loads_of(loads: NDArray[np.float32], distinct: NDArray[np.float32]) -> BatchLoads:
    """Return the mean over layers of what batches cost, from ``(layers, batches, devices)`` or with more axes before.

    A layer in which a batch selects nothing does not count.
    """
    most = loads.max(axis=-1)
    there = most > 0
    ratio = np.divide(loads.mean(axis=-1), most, out=np.zeros_like(most), where=there)
    layers = np.maximum(there.sum(axis=0), 1)
    return BatchLoads(
        np.asarray(ratio.sum(axis=0, dtype=np.float64) / layers),
        np.asarray(distinct.max(axis=-1).sum(axis=0, dtype=np.float64) / layers),
    )


def _with_replicas(selected: NDArray[np.integer], slots: Slots, generator: Generator) -> BatchLoads:
    batches, _, layers, _ = selected.shape
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for layer in range(layers):
        chosen = selected[:, :, layer].reshape(batches, -1)
        places, replicas, held = slots.places(layer), slots.replicas[layer], len(slots.of_layer(layer))
        rank = (generator.random(chosen.shape) * replicas[chosen]).astype(np.int64)
        slot = np.where(chosen < 0, held, places[np.minimum(chosen, len(places) - 1), rank])
        cell = np.arange(batches)[:, None] * (held + 1) + slot
        counts = np.bincount(cell.ravel(), minlength=batches * (held + 1)).reshape(batches, held + 1)[:, :held]
        by_device = counts.reshape(batches, slots.devices, -1)
        found.append((by_device.sum(axis=2), (by_device > 0).sum(axis=2)))
    loads, distinct = (np.stack(parts).astype(np.float32) for parts in zip(*found, strict=True))
    return loads_of(loads, distinct)
