"""Two kinds in different units: as often wrong as it says, where kinds differ in number, length and spread."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats import difference_between
from moexray.stats.kinds.bias import specialisation

from ..simulations import assert_power, assert_share, simulated
from .simulated import Draw, alike, images_in_runs, images_of_one_expert, loose_images, planted, unequal_lengths


def p_values(draw: Draw, seeds: range, *, texts: int, images: int) -> np.ndarray:
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        first, second = draw(rng, texts + images)
        found.append(difference_between(first[:texts], second[texts:], permutations=199, rng=rng).p_value)
    return np.array(found)


@pytest.mark.nightly
@pytest.mark.parametrize("draw", [alike, unequal_lengths, images_of_one_expert, images_in_runs, loose_images])
@pytest.mark.parametrize(("texts", "images"), [(20, 20), (12, 40), (40, 12)])
def test_kinds_of_equal_mean_are_told_apart_no_oftener_than_it_says(draw: Draw, texts: int, images: int) -> None:
    assert_share(p_values(draw, range(150), texts=texts, images=images) <= 0.05, 0.01, 0.09)


@simulated(15, nightly=200)
def test_a_planted_difference_is_found(seeds: range) -> None:
    assert_power(p_values(planted, seeds, texts=45, images=45))


def test_the_floor_is_that_of_kinds_shuffled_over_units() -> None:
    first, second = alike(np.random.default_rng(0), 12)
    first, second = first[:5], second[5:]
    found = difference_between(first, second, permutations=2000, rng=0)
    shares = np.concatenate([first, second])[:, 0] / 60
    rng = np.random.default_rng(1)
    orders = [rng.permutation(12) for _ in range(2000)]
    floor = [specialisation(shares[order[:5]].mean(0), shares[order[5:]].mean(0)) for order in orders]
    assert found.msi == pytest.approx(specialisation(shares[:5].mean(0), shares[5:].mean(0)))
    assert found.msi_floor == pytest.approx(np.mean(floor), abs=0.01)
    assert found.units == 12


def test_disjoint_experts_have_msi_one() -> None:
    first, second = np.zeros((2, 8, 1, 6), dtype=int)
    first[..., :2], second[..., 2:] = 3, 5
    found = difference_between(first, second, permutations=99, rng=0)
    assert found.msi == 1
    assert found.layers[0].jensen_shannon == pytest.approx(1, abs=1e-12)
    assert found.p_value <= 0.02


def test_two_units_of_a_kind_are_too_few() -> None:
    first, second = alike(np.random.default_rng(0), 8)
    with pytest.raises(NotComputable, match="fewer than 3"):
        difference_between(first[:2], second[2:], permutations=9, rng=0)
