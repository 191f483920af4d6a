"""The mean of values that units share, and how often its interval holds the true mean."""

import numpy as np
import pytest

from moexray.stats.inference.jackknife import mean_interval
from moexray.stats.inference.unit_means import mean_over_units
from moexray.stats.inference.units import units_of

from ..simulations import assert_share, simulated


def test_prompts_that_are_units_have_the_interval_of_a_stratified_mean() -> None:
    values, labels = np.random.default_rng(0).random(14), list("aaaabbbbbbbccc")
    mean, interval = mean_over_units(values, units_of(labels))
    assert mean == values.mean()
    assert interval == pytest.approx(mean_interval(values, np.array(["abc".index(label) for label in labels])))


def test_each_unit_is_left_out_with_the_share_of_its_stratum_held_fixed() -> None:
    """Contents of both categories are one stratum; the two templates of one category are another."""
    labels, groups = list("ababaaaaa"), ["s", "s", "t", "t", "u", "u", "u", "v", "v"]
    values = np.arange(9.0) ** 2
    _, interval = mean_over_units(values, units_of(labels, groups))
    crossed, alone = values[:4], values[4:]
    left_out = np.array(
        [
            (4 * crossed[2:].mean() + 5 * alone.mean()) / 9,
            (4 * crossed[:2].mean() + 5 * alone.mean()) / 9,
            (4 * crossed.mean() + 5 * alone[3:].mean()) / 9,
            (4 * crossed.mean() + 5 * alone[:3].mean()) / 9,
        ]
    )
    variance = sum(np.sum((part - part.mean()) ** 2) / 2 for part in (left_out[:2], left_out[2:]))
    low, high = interval
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert (high - low) ** 2 / variance == pytest.approx((2 * 4.302652729696) ** 2)  # Student's with two freedoms


def test_a_category_of_one_unit_has_a_mean_and_no_interval() -> None:
    mean, interval = mean_over_units(np.arange(6.0), units_of(list("aaabbb"), list("ssstuv")))
    assert (mean, interval) == (2.5, None)


DESIGNS = {
    "templates of one size": (np.repeat(np.arange(16), 5), np.repeat(np.arange(4), 20)),
    "templates of unequal size": (np.repeat(np.arange(20), [2, 4, 6, 8] * 5), np.repeat(np.arange(4), 25)),
    "contents": (np.repeat(np.arange(20), 4), np.tile(np.arange(4), 20)),
}


@simulated(300, nightly=4000)
@pytest.mark.parametrize("design", DESIGNS)
def test_the_true_mean_lies_in_it_as_often_as_it_should(design: str, seeds: range) -> None:
    """Values have a part of the prompt's own and one of its unit; the categories' means differ."""
    units, categories = DESIGNS[design]
    studied = units_of(["abcd"[c] for c in categories], [f"u{u}" for u in units])
    inside = []
    for seed in seeds:
        rng = np.random.default_rng([5, seed])
        values = categories + rng.normal(size=units.max() + 1)[units] + rng.normal(size=len(units))
        low, high = mean_over_units(values, studied)[1]
        inside.append(low <= categories.mean() <= high)
    assert_share(np.array(inside), 0.93, 0.97)
