"""Slots say which expert is where, and hold every one."""

import numpy as np
import pytest

from moexray.stats.workloads.slots import Slots, slots_of


def test_slots_and_places_are_each_others_inverse() -> None:
    slots = Slots(np.array([[[2, 0, 1], [1, 3, 1]], [[0, 1, -1], [2, 1, -1]]]), np.array([4, 3]))
    assert slots.of_layer(0).tolist() == [2, 0, 1, 1, 3, 1]
    assert slots.of_layer(1).tolist() == [0, 1, 2, 1]
    assert slots.places(0).tolist() == [[1, -1, -1], [2, 3, 5], [0, -1, -1], [4, -1, -1]]
    assert slots.places(1).tolist() == [[0, -1], [1, 3], [2, -1]]
    assert slots.replicas.tolist() == [[1, 3, 1, 1], [1, 2, 1, 0]]


def test_shares_are_of_an_experts_replicas() -> None:
    slots = Slots(np.array([[[2, 0, 1], [1, 3, 1]]]), np.array([4]))
    assert slots.shares[0] == pytest.approx(np.array([[1, 0], [1 / 3, 2 / 3], [1, 0], [0, 1]]))


def test_experts_on_one_device_each_stand_in_order() -> None:
    slots = slots_of(np.array([[1, 0, 1, 0], [0, 1, 9, 9]]), 2, np.array([4, 2]))
    assert slots.held.tolist() == [[[1, 3], [0, 2]], [[0, -1], [1, -1]]]


@pytest.mark.parametrize("held", [[[0, 1], [2, 2]], [[0, 1], [2, 4]], [[0, -1], [1, 2]]])
def test_a_layer_that_lacks_an_expert_or_holds_a_foreign_one_is_refused(held: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="layer 0 of a placement holds experts"):
        Slots(np.array([held]), np.array([4]))
