"""Loads and devices touched are what an explicit count gives, however devices are named, with replicas or without."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest

from moexray.examples import example
from moexray.stats.workloads.coactivation_groups import coactivation_devices
from moexray.stats.workloads.device_loads import (
    balancedness,
    devices_touched,
    marks_of,
    uniform_devices_touched,
    uniform_remote,
)
from moexray.stats.workloads.eplb import eplb
from moexray.stats.workloads.plain_placements import contiguous
from moexray.stats.workloads.slots import Slots, slots_of
from moexray.stats.workloads.token_traffic import traffic


def drawn_tokens(tokens: int, layers: int, experts: int, k: int, seed: int = 0) -> np.ndarray:
    """Return what tokens select: k distinct experts of each layer, at random."""
    scores = np.random.default_rng(seed).random((tokens, layers, experts))
    return np.argsort(scores, axis=2)[:, :, :k]


def test_the_closed_form_is_the_mean_over_all_sets_of_experts() -> None:
    sets = list(combinations(range(6), 3))
    slots = slots_of(contiguous(np.array([6]), 3), 3, np.array([6]))
    found = devices_touched(marks_of(np.array(sets), 6), slots.shares[0])
    assert found.mean() == pytest.approx(uniform_devices_touched(6, 3, 3))
    alone = (found == 1).mean()
    assert 1 - alone / 3 == pytest.approx(uniform_remote(6, 3, 3))


@pytest.mark.parametrize(("devices", "published"), [(4, 3.659), (8, 5.43), (16, 6.75)])
def test_uniform_routing_touches_as_many_devices_as_the_closed_form_says(devices: int, published: float) -> None:
    selected = drawn_tokens(4000, 1, 64, 8)[:, 0]
    slots = slots_of(contiguous(np.array([64]), devices), devices, np.array([64]))
    found = devices_touched(marks_of(selected, 64), slots.shares[0])
    assert found.mean() == pytest.approx(uniform_devices_touched(64, 8, devices), abs=4 * found.std() / 4000**0.5)
    assert uniform_devices_touched(64, 8, devices) == pytest.approx(published, abs=0.005)
    assert uniform_devices_touched(64, 8, devices) == devices * (1 - comb(64 - 64 // devices, 8) / comb(64, 8))


@pytest.mark.parametrize(("devices", "redundant"), [(1, 0), (2, 0), (4, 0), (4, 4), (3, 1), (5, 7)])
def test_devices_touched_are_an_explicit_count(devices: int, redundant: int) -> None:
    """With replicas: the mean over every choice of one replica for each expert of a token."""
    selected = drawn_tokens(30, 2, 8, 3)
    slots = Slots(eplb(np.ones((2, 8)) + np.arange(8), devices=devices, redundant=redundant), np.array([8, 8]))
    for layer in range(2):
        found = devices_touched(marks_of(selected[:, layer], 8), slots.shares[layer])
        places = {e: np.flatnonzero((slots.held[layer] == e).any(axis=1)) for e in range(8)}
        copies = {e: [d for d in places[e] for _ in range((slots.held[layer, d] == e).sum())] for e in range(8)}
        for token, chosen in enumerate(selected[:, layer].tolist()):
            choices = [len(set(devices)) for devices in product(*(copies[expert] for expert in chosen))]
            assert found[token] == pytest.approx(np.mean(choices), abs=1e-5)
    if devices == 1:
        assert set(found.tolist()) == {1.0}


def test_names_of_devices_do_not_matter() -> None:
    selected = drawn_tokens(200, 3, 12, 4, seed=1)
    slots = Slots(eplb(np.random.default_rng(2).random((3, 12)), devices=4), np.full(3, 12))
    renamed = Slots(slots.held[:, [2, 0, 3, 1]], slots.experts)
    sums = [
        traffic(selected, selected[:, :, 0], np.zeros(200, dtype=int), placements=[one], nodes=1, number=1)
        for one in (slots, renamed)
    ]
    for name in ("touched", "at_home", "moved"):
        assert getattr(sums[0], name) == pytest.approx(getattr(sums[1], name))
    loads = np.stack([np.bincount(selected[:, layer].ravel(), minlength=12) for layer in range(3)])
    by_device = [np.einsum("le,led->ld", loads, one.shares) for one in (slots, renamed)]
    assert balancedness(by_device[0]) == pytest.approx(balancedness(by_device[1]))
    assert [one.sum() for one in by_device] == [200 * 3 * 4] * 2


def test_replicas_share_their_load_and_lose_none_of_it() -> None:
    selected = drawn_tokens(100, 2, 8, 2, seed=3)
    loads = np.stack([np.bincount(selected[:, layer].ravel(), minlength=8) for layer in range(2)])
    slots = Slots(eplb(loads, devices=4, redundant=4), np.array([8, 8]))
    assert np.einsum("le,led->ld", loads, slots.shares).sum(axis=1) == pytest.approx([200, 200])


def test_balance_is_the_mean_over_layers_of_mean_by_largest() -> None:
    assert balancedness(np.array([[1, 2, 3], [4, 4, 4]])) == pytest.approx((2 / 3 + 1) / 2)
    assert balancedness(np.array([[1, 2, 3], [0, 0, 0]])) == pytest.approx(2 / 3)
    assert np.isnan(balancedness(np.zeros((2, 3))))


def test_traffic_is_an_explicit_count() -> None:
    """Of tokens that may select nothing in a layer, in parts, some of which come again later."""
    rng = np.random.default_rng(4)
    selected = drawn_tokens(60, 4, 8, 2, seed=4)
    selected[rng.random((60, 4)) < 0.2] = -1
    selected[rng.random((60, 4)) < 0.2, 1] = -1
    tops = selected[:, :, 0]
    parts = np.repeat([0, 2, 1, 0], 15)
    placements = [
        slots_of(device, 4, np.full(4, 8))
        for device in (contiguous(np.full(4, 8), 4), rng.permuted(np.tile([0, 0, 1, 1, 2, 2, 3, 3], (4, 1)), axis=1))
    ]
    found = traffic(selected, tops, parts, placements=placements, nodes=2, number=3)
    for place, slots in enumerate(placements):
        device = slots.shares.argmax(axis=2)
        for part in range(3):
            touched = nodes = home = visits = moved = boundaries = 0.0
            for token in np.flatnonzero(parts == part):
                for layer in range(4):
                    on = {int(device[layer, e]) for e in selected[token, layer] if e >= 0}
                    visits += bool(on)
                    touched += len(on)
                    nodes += len({d // 2 for d in on})
                    home += sum(on == {d} for d in range(4)) / 4
                    if layer and tops[token, layer] >= 0 and tops[token, layer - 1] >= 0:
                        boundaries += 1
                        moved += device[layer, tops[token, layer]] != device[layer - 1, tops[token, layer - 1]]
            assert found.touched[part, place] == pytest.approx(touched)
            assert found.nodes[part, place] == pytest.approx(nodes)
            assert found.at_home[part, place] == pytest.approx(home)
            assert found.moved[part, place] == pytest.approx(moved)
            assert (found.visits[part], found.boundaries[part]) == (visits, boundaries)


def test_many_tokens_are_summed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    selected, parts = drawn_tokens(50, 2, 8, 2), np.repeat([0, 1], 25)
    placements = [slots_of(contiguous(np.full(2, 8), 4), 4, np.full(2, 8))]
    at_once = traffic(selected, None, parts, placements=placements, nodes=1, number=2)
    monkeypatch.setattr("moexray.stats.workloads.token_traffic._MOST_NUMBERS", 4 * 7)
    in_chunks = traffic(selected, None, parts, placements=placements, nodes=1, number=2)
    assert in_chunks.touched == pytest.approx(at_once.touched)
    assert in_chunks.visits.tolist() == at_once.visits.tolist() == [50, 50]


def test_no_token_gives_sums_of_zero() -> None:
    none = np.zeros((0, 2, 2), dtype=int)
    placements = [slots_of(contiguous(np.full(2, 8), 4), 4, np.full(2, 8))]
    found = traffic(none, None, np.zeros(0, dtype=int), placements=placements, nodes=1, number=2)
    assert found.touched.tolist() == [[0.0], [0.0]]


def test_the_embedded_model_trades_balance_for_traffic() -> None:
    """Four devices, layers 0, 7 and 15, learnt on every other prompt and scored on the rest.

    As a prototype on the same prompts measured it: a token touches 3.65 devices of contiguous experts, and 2.90 of
    co-activated ones, whose balancedness is 0.55 in place of 0.835; EPLB's is 0.98.
    """
    _, trace = example()
    (block,) = trace.blocks()
    learnt, selected = block.prompts % 2 == 0, block.experts[:, [0, 7, 15]].astype(int)
    experts = np.full(3, 64)
    marks = np.stack([marks_of(selected[:, layer], 64) for layer in range(3)])
    pairs = marks[:, learnt].swapaxes(1, 2) @ marks[:, learnt]
    loads, scored = np.diagonal(pairs, axis1=1, axis2=2), marks[:, ~learnt].sum(axis=1)
    placements = {
        "contiguous": slots_of(contiguous(experts, 4), 4, experts),
        "coactivation": slots_of(coactivation_devices(pairs, 4), 4, experts),
        "eplb": Slots(eplb(loads, devices=4), experts),
    }
    expected = {"contiguous": (0.835, 3.65), "coactivation": (0.55, 2.90), "eplb": (0.98, 3.73)}
    for name, slots in placements.items():
        balance = float(balancedness(np.einsum("le,led->ld", scored, slots.shares)))
        touched = np.mean([devices_touched(marks[layer][~learnt], slots.shares[layer]).mean() for layer in range(3)])
        assert (balance, touched) == pytest.approx(expected[name], abs=0.006)
