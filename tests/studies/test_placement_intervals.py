"""The intervals of a study of placements hold what they should, in simulations of routers that are known."""

import numpy as np
import pytest

from moexray.stats.workloads.batch_loads import batch_loads, drawn_batches, expert_counts
from moexray.stats.workloads.plain_placements import contiguous
from moexray.stats.workloads.slots import slots_of
from moexray.studies.halves import Halves
from moexray.studies.placement_measures import Cells, batch_measure, device_balance
from moexray.studies.placement_results import Measure

EXPERTS, K, LAYERS, DEVICES, TOKENS = 16, 2, 2, 4, 20
SLOTS = slots_of(contiguous(np.full(LAYERS, EXPERTS), DEVICES), DEVICES, np.full(LAYERS, EXPERTS))
PREFERENCES = np.random.default_rng(0).normal(size=(4, LAYERS, EXPERTS))


def studied(prompts: int, size: int, rng: np.random.Generator) -> tuple[Measure, Measure, Measure]:
    """Return balancedness and busiest device of batches, and balancedness of all tokens, of new prompts."""
    category = np.arange(prompts) % 4
    preferences = PREFERENCES[category] + 0.7 * rng.normal(size=(prompts, LAYERS, EXPERTS))
    noise = rng.gumbel(size=(prompts, TOKENS, LAYERS, EXPERTS))
    experts = np.argsort(-(preferences[:, None] + noise), axis=3)[..., :K]
    batches = drawn_batches(np.full(prompts, TOKENS), size, number=1000, rng=rng)
    selected = experts[batches.prompts, batches.steps[:, None]]
    loads = batch_loads(selected, expert_counts(selected, EXPERTS), SLOTS, rng=rng)
    halves = Halves(np.zeros(0, dtype=int), np.arange(prompts), np.arange(prompts), category)
    cells = Cells(np.arange(prompts), np.arange(prompts), np.zeros(prompts, dtype=int), category)
    by_device = np.stack([(experts // (EXPERTS // DEVICES) == device).sum(axis=(1, 3)) for device in range(DEVICES)], 2)
    return (
        batch_measure(loads.balancedness, batches, halves, most=1.0),
        batch_measure(loads.busiest, batches, halves, most=EXPERTS / DEVICES),
        device_balance(cells, by_device.astype(float)),
    )


@pytest.mark.nightly
@pytest.mark.parametrize(("prompts", "size"), [(40, 4), (40, 16), (100, 16)])
def test_intervals_hold_the_mean_over_studies_as_often_as_they_say(prompts: int, size: int) -> None:
    rng = np.random.default_rng(1)
    found = [studied(prompts, size, rng) for _ in range(300)]
    for measures in zip(*found, strict=True):
        truth = np.mean([one.value for one in measures])
        held = np.mean([one.ci[0] <= truth <= one.ci[1] for one in measures])
        assert 0.92 <= held <= 1


@pytest.mark.slow
def test_an_interval_of_batches_is_of_the_width_of_their_spread() -> None:
    """Forty studies spread as the intervals of each say, within a factor of two."""
    rng = np.random.default_rng(2)
    found = [studied(40, 8, rng)[0] for _ in range(40)]
    spread = np.std([one.value for one in found])
    width = np.median([one.ci[1] - one.ci[0] for one in found])
    assert 0.5 < width / (2 * 2.03 * spread) < 2
