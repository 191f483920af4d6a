"""EPLB places experts as DeepSeek's own code does, and balances loads almost as well as can be."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from moexray.stats.workloads.eplb import balanced_packing, eplb, replicated

# The example in the README of https://github.com/deepseek-ai/EPLB: two layers of twelve experts in four groups, sixteen
# slots on eight GPUs of two nodes.
LOADS = [
    [90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
    [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
]
PLACED = [
    [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1],
    [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1],
]


def test_the_published_example_is_reproduced() -> None:
    found = eplb(np.array(LOADS), devices=8, redundant=4, groups=4, nodes=2)
    assert found.shape == (2, 8, 2)
    assert found.reshape(2, 16).tolist() == PLACED


def test_experts_of_one_group_stay_on_one_node() -> None:
    loads = np.random.default_rng(0).integers(1, 1000, size=(5, 24))
    found = eplb(loads, devices=8, redundant=8, groups=6, nodes=2)
    for layer in found:
        nodes = [set((layer[start : start + 4] // 4).ravel().tolist()) for start in (0, 4)]
        assert not nodes[0] & nodes[1]
        assert [len(groups) for groups in nodes] == [3, 3]


@pytest.mark.parametrize(("devices", "redundant", "nodes"), [(4, 0, 1), (4, 4, 2), (3, 2, 1), (16, 0, 4), (1, 0, 1)])
def test_every_expert_has_a_slot_and_every_device_as_many(devices: int, redundant: int, nodes: int) -> None:
    loads = np.random.default_rng(1).integers(0, 50, size=(3, 16))
    found = eplb(loads, devices=devices, redundant=redundant, groups=16 if nodes > 1 else 1, nodes=nodes)
    assert found.shape == (3, devices, (16 + redundant) // devices)
    for layer in found:
        assert set(layer.ravel().tolist()) == set(range(16))


def test_the_heaviest_go_first_to_the_lightest_pack_with_room() -> None:
    """9 and 8 open the packs, 7 joins 8 and 6 joins 9; 2 goes to the first of two of 15, and 1 to what has room."""
    pack, place = balanced_packing(np.array([[6.0, 9, 1, 8, 7, 2]]), 2)
    assert pack.tolist() == [[0, 0, 1, 1, 1, 0]]
    assert place.tolist() == [[1, 0, 2, 0, 1, 2]]


def test_a_replica_goes_to_the_expert_with_most_load_a_replica() -> None:
    """Of 12, 5 and 4: 12 is the most, then its 6 each, then 5 is more than 4 each."""
    held, replicas = replicated(np.array([[5.0, 12, 4]]), 6)
    assert held.tolist() == [[0, 1, 2, 1, 1, 0]]
    assert replicas.tolist() == [[2, 3, 1]]


def test_replicas_lower_the_largest_load_of_a_slot() -> None:
    loads = np.random.default_rng(2).pareto(1, size=(1, 16))
    largest = []
    for slots in range(16, 40):
        held, replicas = replicated(loads, slots)
        assert np.array_equal(np.bincount(held[0], minlength=16), replicas[0])
        largest.append((loads / replicas).max())
    assert all(more >= less for more, less in pairwise(largest))


def test_its_largest_load_is_near_the_least_possible_one() -> None:
    """The least is that of an integer program: min t, each expert on one device, each device its number of them."""
    rng = np.random.default_rng(3)
    for _ in range(5):
        loads = rng.integers(1, 100, size=12)
        placed = eplb(loads[None], devices=3)[0]
        largest, least = int(loads[placed].sum(axis=1).max()), least_of_largest(loads, 3)
        assert least <= largest <= 1.1 * least


def least_of_largest(loads: np.ndarray, devices: int) -> int:
    experts = len(loads)
    once, room, load = np.zeros((experts, experts * devices + 1)), *np.zeros((2, devices, experts * devices + 1))
    for expert in range(experts):
        for device in range(devices):
            column = expert * devices + device
            once[expert, column] = room[device, column] = 1
            load[device, column] = loads[expert]
    load[:, -1] = -1
    found = milp(
        [0] * (experts * devices) + [1],
        constraints=[
            LinearConstraint(once, 1, 1),
            LinearConstraint(room, experts // devices, experts // devices),
            LinearConstraint(load, -np.inf, 0),
        ],
        integrality=[1] * (experts * devices) + [0],
        bounds=Bounds([0] * (experts * devices + 1), [1] * (experts * devices) + [np.inf]),
    )
    assert found.status == 0
    return round(found.fun)


@pytest.mark.parametrize(
    "sizes",
    [
        {"devices": 5},
        {"devices": 4, "redundant": 1},
        {"devices": 4, "groups": 5},
        {"devices": 4, "groups": 4, "nodes": 3},
    ],
)
def test_numbers_that_do_not_divide_each_other_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        eplb(np.ones((1, 12)), **sizes)
