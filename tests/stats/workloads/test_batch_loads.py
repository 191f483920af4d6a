"""Batches are of different prompts at one step, and their loads are an explicit count."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.workloads.batch_loads import batch_loads, drawn_batches, expert_counts
from moexray.stats.workloads.plain_placements import contiguous, random_devices
from moexray.stats.workloads.random_placements import drawn_balancedness, drawn_batch_loads, drawn_traffic
from moexray.stats.workloads.slots import Slots, slots_of
from moexray.stats.workloads.token_traffic import traffic


def selected_by_batches(batches: int = 6, size: int = 4, layers: int = 3, experts: int = 8) -> np.ndarray:
    """Return two experts of each layer for each token, or none, or one."""
    rng = np.random.default_rng(0)
    found = np.argsort(rng.random((batches, size, layers, experts)), axis=3)[..., :2]
    found[rng.random(found.shape[:3]) < 0.2] = -1
    found[rng.random(found.shape[:3]) < 0.2, 1] = -1
    return found


def test_a_batch_is_of_different_prompts_that_have_its_step() -> None:
    lengths = np.array([3, 9, 0, 5, 5, 2])
    batches = drawn_batches(lengths, 3, number=400, rng=0)
    for prompts, step in zip(batches.prompts, batches.steps, strict=True):
        assert len(set(prompts.tolist())) == 3
        assert (lengths[prompts] > step).all()
    # Steps 0 and 1 are had by five prompts, step 2 by four, steps 3 and 4 by three: 20 in all.
    shares = np.bincount(batches.steps) / 400
    assert shares == pytest.approx(np.array([5, 5, 4, 3, 3]) / 20, abs=0.08)


@pytest.mark.parametrize(("lengths", "size"), [([3, 0, 2], 3), ([4, 4], 3), ([0, 0], 1)])
def test_more_prompts_than_there_are_make_no_batch(lengths: list[int], size: int) -> None:
    with pytest.raises(NotComputable, match=f"a batch of {size} needs as many scored prompts"):
        drawn_batches(np.array(lengths), size, number=5, rng=0)


def test_loads_and_the_busiest_device_are_an_explicit_count() -> None:
    selected = selected_by_batches()
    slots = slots_of(contiguous(np.full(3, 8), 4), 4, np.full(3, 8))
    found = batch_loads(selected, expert_counts(selected, 8), slots, rng=0)
    for batch, of_batch in enumerate(selected):
        ratios, busiest = [], []
        for layer in range(3):
            chosen = [e for e in of_batch[:, layer].ravel().tolist() if e >= 0]
            loads = np.bincount(np.array(chosen) // 2, minlength=4)
            ratios.append(loads.mean() / loads.max())
            busiest.append(max(len({e for e in chosen if e // 2 == device}) for device in range(4)))
        assert found.balancedness[batch] == pytest.approx(np.mean(ratios), rel=1e-6)
        assert found.busiest[batch] == pytest.approx(np.mean(busiest), rel=1e-6)


def test_a_layer_that_selects_nothing_does_not_count() -> None:
    selected = selected_by_batches()
    selected[:, :, 1] = -1
    slots = slots_of(contiguous(np.full(3, 8), 4), 4, np.full(3, 8))
    found = batch_loads(selected, expert_counts(selected, 8), slots, rng=0)
    two = slots_of(contiguous(np.full(2, 8), 4), 4, np.full(2, 8))
    others = selected[:, :, [0, 2]]
    expected = batch_loads(others, expert_counts(others, 8), two, rng=0)
    assert found.balancedness == pytest.approx(expected.balancedness)
    assert found.busiest == pytest.approx(expected.busiest)


def test_replicas_of_one_device_change_no_load() -> None:
    """Two devices that each hold every expert once: tokens go to either with even odds."""
    selected = selected_by_batches(batches=400, size=8)
    slots = Slots(np.tile(np.arange(8), (3, 2, 1)), np.full(3, 8))
    found = batch_loads(selected, expert_counts(selected, 8), slots, rng=1)
    rng = np.random.default_rng(2)
    expected, busiest = [], []
    for of_batch in selected:
        ratios, reads = [], []
        for layer in range(3):
            chosen = of_batch[:, layer].ravel()
            chosen = chosen[chosen >= 0]
            side = rng.integers(0, 2, size=len(chosen))
            loads = np.bincount(side, minlength=2)
            ratios.append(loads.mean() / loads.max())
            reads.append(max(len(set(chosen[side == one].tolist())) for one in (0, 1)))
        expected.append(np.mean(ratios))
        busiest.append(np.mean(reads))
    for values, others in ((found.balancedness, expected), (found.busiest, busiest)):
        error = np.hypot(np.std(values), np.std(others)) / 20
        assert abs(values.mean() - np.mean(others)) < 4 * error


def test_random_placements_cost_what_each_of_them_costs_alone() -> None:
    """Also where devices are more than the bits of a word."""
    rng = np.random.default_rng(3)
    for experts, devices in ((8, 4), (140, 70)):
        selected = np.argsort(rng.random((40, 3, experts)), axis=2)[:, :, :3]
        selected[rng.random((40, 3)) < 0.1] = -1
        tops = selected[:, :, 0]
        device = random_devices(np.full(3, experts), devices, draws=5, rng=0)
        batches = selected.reshape(8, 5, 3, 3)
        counts = expert_counts(batches, experts)
        loads = counts.sum(axis=1).astype(int)
        of_tokens, of_batches = drawn_traffic(device, selected, tops), drawn_batch_loads(device, counts)
        even = drawn_balancedness(device, loads)
        for draw in range(5):
            slots = slots_of(device[draw], devices, np.full(3, experts))
            alone = traffic(selected, tops, np.zeros(40, dtype=int), placements=[slots], nodes=1, number=1)
            assert of_tokens.touched[draw] == pytest.approx(alone.touched[0, 0] / alone.visits[0])
            assert of_tokens.alone[draw] == pytest.approx(devices * alone.at_home[0, 0] / alone.visits[0], abs=1e-9)
            assert of_tokens.moved[draw] == pytest.approx(alone.moved[0, 0] / alone.boundaries[0])
            step = batch_loads(batches, counts, slots, rng=0)
            assert of_batches[0][draw] == pytest.approx(step.balancedness.mean(), rel=1e-5)
            assert of_batches[1][draw] == pytest.approx(step.busiest.mean(), rel=1e-5)
            by_device = np.einsum("le,led->ld", loads, slots.shares)
            assert even[draw] == pytest.approx(np.mean(by_device.mean(axis=1) / by_device.max(axis=1)))
