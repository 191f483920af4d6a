"""EPLB: DeepSeek's balancer of expert loads, flat and hierarchical, with redundant experts.

A port to numpy of https://github.com/deepseek-ai/EPLB (MIT), which vLLM and SGLang use as well. As there, loads are
single-precision numbers, and the same loads give the same placement. Only where loads are equal may it differ: here
the expert of the lower number goes first, while torch promises no order.
"""

import numpy as np
from numpy.typing import NDArray


def balanced_packing(weights: NDArray[np.floating], packs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put items into packs of equal number, the heaviest first, each into the lightest pack that has room.

    Parameters
    ----------
    weights
        Of each item ``(rows, items)``; rows are packed apart.
    packs
        A divisor of the number of items.

    Returns
    -------
    The pack of each item, and its place in the pack ``(rows, items)``.
    """
    rows, items = weights.shape
    room = items // packs
    if room == 1:
        return np.tile(np.arange(items), (rows, 1)), np.zeros((rows, items), dtype=np.int64)
    order = np.argsort(-weights, axis=1, kind="stable")
    pack, place = np.zeros((2, rows, items), dtype=np.int64)
    load, held = np.zeros((rows, packs), dtype=weights.dtype), np.zeros((rows, packs), dtype=np.int64)
    each = np.arange(rows)
    for item in order.T:
        lightest = np.argmin(np.where(held < room, load, np.inf), axis=1)
        pack[each, item], place[each, item] = lightest, held[each, lightest]
        load[each, lightest] += weights[each, item]
        held[each, lightest] += 1
    return pack, place


def replicated(weights: NDArray[np.floating], slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each expert a slot, and every further slot to the expert whose replicas have the largest load each.

    Parameters
    ----------
    weights
        Load of each expert ``(rows, experts)``.
    slots
        At least as many as there are experts.

    Returns
    -------
    The expert of each slot ``(rows, slots)``, and the replicas of each expert ``(rows, experts)``.
    """
    rows, experts = weights.shape
    held = np.tile(np.arange(slots), (rows, 1))
    replicas = np.ones((rows, experts), dtype=np.int64)
    each = np.arange(rows)
    for slot in range(experts, slots):
        busiest = np.argmax(weights / replicas.astype(weights.dtype), axis=1)
        held[:, slot] = busiest
        replicas[each, busiest] += 1
    return held, replicas


def eplb(
    loads: NDArray[np.number], *, devices: int, redundant: int = 0, groups: int = 1, nodes: int = 1
) -> NDArray[np.int64]:  # (layers, devices, slots)
    """Place experts so that devices have equal loads; return the expert in each slot of each device.

    With several nodes the policy is hierarchical: groups of experts are packed into nodes, experts are replicated
    inside of their node, and replicas are packed onto its devices. With one node and one group it is flat.

    Parameters
    ----------
    loads
        Of each expert ``(layers, experts)``.
    devices
        A divisor of experts plus redundant ones, and a multiple of the nodes; node after node.
    redundant
        Slots beyond one for each expert.
    groups
        Groups of neighbouring experts that stay on one node: a divisor of the experts, and a multiple of the nodes.
    nodes
        Nodes, which divide the devices.

    Raises
    ------
    ValueError
        If these numbers do not divide each other so.
    """
    layers, experts = loads.shape
    slots = experts + redundant
    if experts % groups or groups % nodes or devices % nodes or slots % devices:
        message = (
            f"{experts} experts in {groups} groups and {slots} slots do not fit {devices} devices on {nodes} nodes"
        )
        raise ValueError(message)
    weights = loads.astype(np.float32)
    # Experts in the order of the nodes that their groups are packed into.
    size, of_node = experts // groups, experts // nodes
    node, place = balanced_packing(weights.reshape(layers, groups, size).sum(axis=2), nodes)
    first = (node * (groups // nodes) + place) * size
    moved = (first[:, :, None] + np.arange(size)).reshape(layers, experts)
    original = np.argsort(moved, axis=1)
    by_node = np.take_along_axis(weights, original, axis=1).reshape(layers * nodes, of_node)
    held, replicas = replicated(by_node, slots // nodes)
    each: NDArray[np.float32] = np.divide(by_node, replicas, dtype=np.float32)
    of_slot = np.take_along_axis(each, held, axis=1)
    device, rank = balanced_packing(of_slot, devices // nodes)
    order = np.argsort(device * (slots // devices) + rank, axis=1)
    held = np.take_along_axis(held, order, axis=1).reshape(layers, nodes, -1) + of_node * np.arange(nodes)[:, None]
    found = np.take_along_axis(original, held.reshape(layers, slots), axis=1)
    return np.asarray(found.reshape(layers, devices, slots // devices))
