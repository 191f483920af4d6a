"""Placements by number, category and co-activation: exhaustive search bounds them, and blocks are found."""

import sys
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.workloads.coactivation_groups import coactivation_devices
from moexray.stats.workloads.device_loads import balancedness, devices_touched, marks_of, uniform_devices_touched
from moexray.stats.workloads.eplb import eplb
from moexray.stats.workloads.graph_devices import graph_devices
from moexray.stats.workloads.plain_placements import category_bins, contiguous, random_devices, round_robin
from moexray.stats.workloads.slots import Slots, slots_of

EIGHT = np.array([8])


def halves_of_eight() -> Iterator[np.ndarray]:
    """Yield the device of each of eight experts in each of the 35 ways to halve them."""
    for others in combinations(range(1, 8), 3):
        device = np.ones(8, dtype=int)
        device[[0, *others]] = 0
        yield device


def clustered(seed: int) -> np.ndarray:
    """Return what 300 tokens select: 3 of 8 experts, mostly of one of two groups that a permutation hides."""
    rng = np.random.default_rng(seed)
    hidden = rng.permutation(8)
    scores = rng.gumbel(size=(300, 8)) + 1.2 * (np.arange(8) // 4 == rng.integers(0, 2, size=(300, 1)))
    return hidden[np.argsort(-scores - 0.3 * rng.random(8), axis=1)[:, :3]]


def touched(selected: np.ndarray, slots: Slots) -> float:
    return float(devices_touched(marks_of(selected, 8), slots.shares[0]).mean())


def balanced(selected: np.ndarray, slots: Slots) -> float:
    loads = np.bincount(selected.ravel(), minlength=8)
    return float(balancedness(np.einsum("le,led->ld", loads[None], slots.shares)))


@pytest.mark.parametrize("seed", range(4))
def test_no_placement_is_better_than_the_best_of_all(seed: int) -> None:
    """And co-activation comes near the fewest devices touched, EPLB near the best balance."""
    selected = clustered(seed)
    marks = marks_of(selected, 8)
    pairs = (marks.T @ marks)[None]
    every = [slots_of(device[None], 2, EIGHT) for device in halves_of_eight()]
    assert len(every) == 35
    fewest, best = min(touched(selected, one) for one in every), max(balanced(selected, one) for one in every)
    found = {
        "coactivation": slots_of(coactivation_devices(pairs, 2), 2, EIGHT),
        "graph": slots_of(graph_devices(pairs[0], 2)[None], 2, EIGHT),
        "eplb": Slots(eplb(np.diagonal(pairs, axis1=1, axis2=2), devices=2), EIGHT),
        "contiguous": slots_of(contiguous(EIGHT, 2), 2, EIGHT),
        "round robin": slots_of(round_robin(EIGHT, 2), 2, EIGHT),
    }
    for slots in found.values():
        assert touched(selected, slots) >= fewest - 1e-9
        assert balanced(selected, slots) <= best + 1e-9
    assert touched(selected, found["coactivation"]) < fewest + 0.1
    assert touched(selected, found["graph"]) < fewest + 0.05
    assert balanced(selected, found["eplb"]) > 0.97 * best


def test_the_mean_over_all_placements_is_the_closed_form_whatever_the_routing() -> None:
    selected = clustered(9)
    mean = np.mean([touched(selected, slots_of(device[None], 2, EIGHT)) for device in halves_of_eight()])
    assert mean == pytest.approx(uniform_devices_touched(8, 3, 2), abs=1e-12)


@pytest.mark.parametrize("devices", [2, 4])
def test_experts_that_are_selected_in_blocks_end_on_one_device(devices: int) -> None:
    rng = np.random.default_rng(5)
    hidden = np.array([rng.permutation(16) for _ in range(3)])
    size = 16 // devices
    block = rng.integers(0, devices, size=400)
    inside = np.argsort(rng.random((400, size)), axis=1)[:, :3]
    experts = np.full(3, 16)
    selected = hidden[:, block[:, None] * size + inside]  # (layers, tokens, k)
    marks = np.stack([marks_of(one, 16) for one in selected])
    pairs = marks.swapaxes(1, 2) @ marks
    for device in (coactivation_devices(pairs, devices), np.stack([graph_devices(one, devices) for one in pairs])):
        slots = slots_of(device, devices, experts)
        for layer in range(3):
            assert set(devices_touched(marks[layer], slots.shares[layer]).tolist()) == {1.0}


def test_the_greedy_steps_are_those_that_are_described() -> None:
    """Experts 2 and 5 open device 0; 0, which goes with neither, opens device 1; 4 goes best with 2 and 5."""
    pairs = np.ones((1, 6, 6))
    for one, other, together in ((2, 5, 9), (0, 2, 0), (0, 5, 0), (4, 2, 3), (4, 5, 3), (1, 0, 2), (3, 0, 2)):
        pairs[0, one, other] = pairs[0, other, one] = together
    assert coactivation_devices(pairs, 2).tolist() == [[1, 1, 0, 1, 0, 0]]


@pytest.mark.parametrize(
    "place", [coactivation_devices, lambda pairs, n: np.stack([graph_devices(p, n) for p in pairs])]
)
@pytest.mark.parametrize("devices", [1, 3, 4, 12])
def test_devices_hold_as_many_experts_each(place: object, devices: int) -> None:
    rng = np.random.default_rng(6)
    pairs = rng.pareto(1, size=(2, 12, 12))
    pairs += pairs.swapaxes(1, 2)
    for layer in place(pairs, devices):  # type: ignore[operator]
        assert np.bincount(layer).tolist() == [12 // devices] * devices


def test_nothing_selected_together_is_placed_all_the_same() -> None:
    none = np.zeros((1, 8, 8))
    assert np.bincount(coactivation_devices(none, 4)[0]).tolist() == [2] * 4
    assert np.bincount(graph_devices(none[0], 4)).tolist() == [2] * 4


def test_co_activation_needs_devices_that_divide_the_experts() -> None:
    with pytest.raises(ValueError, match="8 experts do not fit 3 devices"):
        coactivation_devices(np.ones((1, 8, 8)), 3)


def test_without_pymetis_there_is_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(NotComputable, match=r"pip install 'moexray\[graph\]'"):
        graph_devices(np.ones((8, 8)), 2)


def test_two_categories_order_experts_by_the_one_that_prefers_them() -> None:
    """The order of f(0, e), most first: 3, 0, 2, 1 of shares 0.4, 0.1, 0.2, 0.3 and 0.2, 0.5, 0.2, 0.1."""
    loads = np.array([[[40, 10, 20, 30]], [[200, 500, 200, 100]]])
    assert category_bins(loads, 4).tolist() == [[1, 3, 2, 0]]
    assert category_bins(loads, 2).tolist() == [[0, 1, 1, 0]]


def test_experts_of_one_category_alone_share_a_device() -> None:
    loads = np.zeros((3, 1, 6), dtype=int)
    for category, experts in enumerate(((1, 4), (0, 5), (2, 3))):
        loads[category, 0, experts] = 10 + category
    assert category_bins(loads, 3).tolist() == [[1, 0, 2, 2, 0, 1]]


def test_random_placements_are_even_and_differ() -> None:
    device = random_devices(np.array([8, 4]), 4, draws=50, rng=0)
    assert device.shape == (50, 2, 8)
    for draw in device:
        assert np.bincount(draw[0]).tolist() == [2] * 4
        assert np.bincount(draw[1, :4]).tolist() == [1] * 4
        assert draw[1, 4:].tolist() == [-1] * 4
    assert len({tuple(draw[0]) for draw in device.tolist()}) > 40
