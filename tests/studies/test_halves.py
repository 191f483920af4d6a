"""Halves of prompts share no unit, halve every category, and give the jackknife's intervals."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import mean_interval
from moexray.studies.halves import MOST_BLOCKS, halves_of


def test_every_category_has_half_of_its_prompts_in_either_half() -> None:
    labels = ["code"] * 20 + ["math"] * 20 + ["story"] * 7
    halves = halves_of(labels, None, 0)
    assert sorted([*halves.learnt, *halves.scored]) == list(range(47))
    for name, size in (("code", 20), ("math", 20), ("story", 7)):
        learnt = sum(labels[place] == name for place in halves.learnt)
        assert abs(2 * learnt - size) <= 1


def test_prompts_of_one_group_stay_together() -> None:
    groups = [f"group {place % 10}" for place in range(60)]
    halves = halves_of(["a", "b", "c"] * 20, groups, 1)
    assert not {groups[place] for place in halves.learnt} & {groups[place] for place in halves.scored}
    assert len(halves.strata) == 5
    blocks = {(groups[place], int(block)) for place, block in zip(halves.scored, halves.blocks, strict=True)}
    assert len(blocks) == 5


def test_the_split_depends_on_the_seed_alone() -> None:
    first, same, other = (halves_of(["a", "b"] * 20, None, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.scored, same.scored)
    assert not np.array_equal(first.scored, other.scored)


def test_an_interval_of_a_pooled_mean_is_that_of_the_stratified_jackknife() -> None:
    labels = ["a", "b", "a"] * 20
    halves = halves_of(labels, None, 0)
    values = np.random.default_rng(0).normal(size=60)[halves.scored]
    numbers = np.array([labels[place] == "b" for place in halves.scored], dtype=int)
    expected = mean_interval(values, numbers)
    sums = np.zeros((len(values), 2))
    sums[halves.blocks] = np.stack([values, np.ones_like(values)], axis=1)
    found = halves.interval(lambda total: float(total[0] / total[1]), sums)
    assert found == pytest.approx(expected)


def test_many_units_are_left_out_in_bounded_blocks_of_one_category() -> None:
    labels = ["a"] * 5000 + ["b"] * 300
    halves = halves_of(labels, None, 0)
    assert len(halves.strata) <= MOST_BLOCKS
    assert np.bincount(halves.strata).min() >= 3
    for block, stratum in enumerate(halves.strata):
        names = {labels[place] for place in halves.scored[halves.blocks == block]}
        assert names == {"ab"[stratum]}


def test_one_group_cannot_be_halved() -> None:
    with pytest.raises(NotComputable, match="one group"):
        halves_of(["a", "b"], ["same", "same"], 0)
