"""What leaves the home of a kind of tokens, against an enumeration of every replica that a token could take."""

from itertools import product

import numpy as np
import pytest

from moexray.stats import Slots, homes_of, sends_at_home, slots_of, traffic
from moexray.stats.workloads.random_placements import drawn_from_home, drawn_homes, drawn_sends
from moexray.stats.workloads.token_traffic import Homes

RNG = np.random.default_rng(0)
# 30 tokens of two kinds, three layers of six experts, two a token; the router drops some selections.
SELECTED = np.argsort(RNG.random((30, 3, 6)), axis=2)[..., :2]
SELECTED[RNG.random(SELECTED.shape) < 0.15] = -1
PARTS = np.repeat([0, 1, 2], 10)
KIND_OF_PART = np.array([0, 1, 0])


def with_replicas() -> Slots:
    """Three devices with three slots: six experts of each layer, three of them twice."""
    held = np.stack([RNG.permutation([*range(6), 0, 3, 5]).reshape(3, 3) for _ in range(3)])
    return Slots(held, np.array([6, 6, 6]))


def test_a_token_stays_home_with_the_probability_that_all_its_replicas_are_there() -> None:
    slots, home = with_replicas(), [2, 0]
    homes = Homes(KIND_OF_PART, np.array(home)[:, None])
    found = traffic(SELECTED, None, PARTS, placements=[slots], nodes=1, number=3, homes=homes)
    stays, visits = np.zeros(3), np.zeros(3)
    for token, part in zip(SELECTED, PARTS, strict=True):
        for layer, chosen in enumerate(token):
            experts = [int(expert) for expert in chosen if expert >= 0]
            if not experts:
                continue
            places = [[d for d in range(3) for slot in slots.held[layer, d] if slot == expert] for expert in experts]
            ways = list(product(*places))
            stays[part] += np.mean([set(way) == {home[KIND_OF_PART[part]]} for way in ways])
            visits[part] += 1
    np.testing.assert_allclose(found.own[:, 0], stays, atol=1e-6)
    np.testing.assert_array_equal(found.visits, visits)
    without = traffic(SELECTED, None, PARTS, placements=[slots], nodes=1, number=3)
    assert not without.own.any()
    np.testing.assert_array_equal(without.at_home, found.at_home)


def test_a_home_holds_more_of_its_kind_than_any_other_device() -> None:
    slots, loads = with_replicas(), RNG.integers(0, 50, size=(2, 3, 6))
    homes = homes_of(loads, slots.shares)
    for kind, home in enumerate(homes.tolist()):
        stay = [sends_at_home(loads[kind], slots.shares, device)[0] for device in range(3)]
        assert home == int(np.argmax(stay))
        assert sum(stay) == pytest.approx(loads[kind].sum())
        assert sends_at_home(loads[kind], slots.shares, home)[1] == loads[kind].sum()


def test_random_placements_are_scored_as_learnt_ones() -> None:
    device = np.stack([[RNG.permutation([0, 0, 0, 1, 1, 1]) for _ in range(3)] for _ in range(4)])
    loads = np.zeros((3, 6), dtype=np.int64)
    for layer in range(3):
        loads[layer] = np.bincount(SELECTED[:, layer][SELECTED[:, layer] >= 0], minlength=6)
    homes = drawn_homes(device, loads)
    leave, sends = drawn_from_home(device, SELECTED, homes), drawn_sends(device, loads, homes)
    for draw in range(4):
        slots = slots_of(device[draw], 2, np.array([6, 6, 6]))
        assert homes[draw] == homes_of(loads[None], slots.shares)[0]
        one = Homes(np.array([0]), np.array([[homes[draw]]]))
        found = traffic(SELECTED, None, np.zeros(30, dtype=int), placements=[slots], nodes=1, number=1, homes=one)
        assert leave[draw] == pytest.approx(1 - found.own[0, 0] / found.visits[0], abs=1e-6)
        stay, every = sends_at_home(loads, slots.shares, int(homes[draw]))
        assert sends[draw] == pytest.approx(1 - stay / every)
