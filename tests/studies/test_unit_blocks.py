"""Blocks hold whole units of one category, and intervals keep the share of each category."""

import numpy as np
import pytest

from moexray.stats.inference.jackknife import mean_interval
from moexray.studies.unit_blocks import unit_blocks


def test_few_units_are_left_out_one_by_one() -> None:
    found = unit_blocks(["a", "b"] * 5, None)
    assert len(found) == found.units == 10
    assert sorted(found.blocks) == list(range(10))


def test_many_units_share_blocks_of_one_category() -> None:
    labels = ["a"] * 900 + ["b"] * 100
    found = unit_blocks(labels, None, most=50)
    assert len(found) <= 50
    assert np.bincount(found.strata).min() >= 3
    for block, stratum in enumerate(found.strata):
        assert {labels[place] for place in np.flatnonzero(found.blocks == block)} == {"ab"[stratum]}


def test_groups_stay_together_and_what_is_not_studied_has_no_block() -> None:
    groups, studied = [f"g{i // 4}" for i in range(40)], np.arange(40) < 24
    found = unit_blocks(["a"] * 20 + ["b"] * 20, groups, studied=studied)
    assert found.units == len(found) == 6
    assert (found.blocks[~studied] == -1).all()
    assert all(len({found.blocks[i] for i in range(24) if groups[i] == f"g{g}"}) == 1 for g in range(6))


def test_more_categories_than_blocks_allow_are_not_told_apart() -> None:
    found = unit_blocks([f"c{i % 50}" for i in range(400)], None, most=60)
    assert len(found) == 60
    assert set(found.strata) == {0}


def test_the_interval_of_a_mean_is_that_of_the_stratified_jackknife() -> None:
    labels = ["a"] * 8 + ["b"] * 30
    values = np.random.default_rng(0).normal(size=38)
    found = unit_blocks(labels, None)
    left_out = (values.sum() - values) / 37
    expected = mean_interval(values, np.array([label == "b" for label in labels], dtype=int))
    order = np.argsort(found.blocks)
    assert found.interval(float(values.mean()), left_out[order]) == pytest.approx(expected)


def test_a_category_of_two_units_allows_no_interval() -> None:
    found = unit_blocks(["a"] * 8 + ["b"] * 2, None)
    assert found.interval(1.0, np.ones(10)) is None
    assert not found.can_be_left_out


def test_an_interval_stays_in_the_range_of_its_statistic_and_holds_the_estimate() -> None:
    found = unit_blocks(["a"] * 6, None)
    left_out = np.array([0.8, 1.0, 1.0, 1.0, 1.0, 1.0])
    low, high = found.interval(0.99, left_out, bounds=(0.0, 1.0)) or (0.0, 0.0)
    assert low < 0.9
    assert high == 1.0
    assert found.interval(1 + 1e-16, np.ones(6), bounds=(0.0, 1.0)) == (1 + 1e-16, 1 + 1e-16)
