"""Two kinds within units: the floor of MSI is that of exchanged kinds, and the test errs as often as it says."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats import difference_within
from moexray.stats.kinds.bias import specialisation

from ..simulations import assert_level, assert_power, assert_share, simulated
from .simulated import NO_DIFFERENCE, Draw, alike, exchanged, images_of_one_expert, planted


def p_values(draw: Draw, seeds: range, *, units: int = 20, permutations: int = 199) -> np.ndarray:
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        found.append(difference_within(*draw(rng, units), permutations=permutations, rng=rng).p_value)
    return np.array(found)


def msi_of(first: np.ndarray, second: np.ndarray) -> float:
    return float(
        specialisation((first / first.sum(1, keepdims=True)).mean(0), (second / second.sum(1, keepdims=True)).mean(0))
    )


def test_disjoint_experts_have_msi_one_and_one_bit() -> None:
    first, second = np.zeros((2, 12, 2, 6), dtype=int)
    first[..., :2], second[..., 2:] = np.random.default_rng(0).integers(1, 9, size=(12, 2, 2)), 5
    found = difference_within(first, second, permutations=99, rng=0)
    assert found.msi == 1
    assert found.msi_floor < 0.5
    assert found.p_value == 0.01
    for layer in found.layers:
        assert layer.msi == 1
        assert layer.jensen_shannon == pytest.approx(1, abs=1e-12)
        assert layer.jensen_shannon_corrected == pytest.approx(1, abs=1e-12)


def test_floor_and_p_are_those_of_all_exchanges() -> None:
    """Over all 2⁷ ways to exchange the kinds of seven units, by hand."""
    first, second = (one[:, 0] for one in exchanged(np.random.default_rng(3), 7))
    shares = [one / one.sum(axis=1, keepdims=True) for one in (first, second)]
    floor, distances = [], []
    for turned in product((False, True), repeat=7):
        mask = np.array(turned)[:, None]
        one, other = np.where(mask, shares[1], shares[0]).mean(0), np.where(mask, shares[0], shares[1]).mean(0)
        floor.append(specialisation(one, other))
        distances.append(((one - other) ** 2).sum())
    found = difference_within(first[:, None], second[:, None], permutations=20_000, rng=0)
    assert found.msi == pytest.approx(msi_of(first, second))
    assert found.msi_floor == pytest.approx(np.mean(floor), abs=0.005)
    assert found.p_value == pytest.approx(np.mean(np.array(distances) >= distances[0] - 1e-12), abs=0.015)


def test_exchanging_the_names_of_the_kinds_changes_nothing() -> None:
    first, second = planted(np.random.default_rng(1), 20, layers=3)
    one, other = (difference_within(*both, permutations=99, rng=0) for both in ((first, second), (second, first)))
    assert one.msi == pytest.approx(other.msi)
    assert one.msi_floor == pytest.approx(other.msi_floor)
    assert one.p_value == other.p_value


@simulated(60, nightly=200)
def test_with_kinds_exchanged_at_random_p_is_uniform_and_msi_is_at_its_floor(seeds: range) -> None:
    """Kinds of unequal length, images in runs."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        found.append(difference_within(*exchanged(rng, 12), permutations=199, rng=rng))
    assert kstest([one.p_value for one in found], "uniform").pvalue > 0.01
    above = np.array([one.msi - one.msi_floor for one in found])
    assert abs(above.mean()) < 3 * above.std() / np.sqrt(len(above))
    assert_share(np.array([one.msi > one.msi_high for one in found]), 0.03, 0.07)


@pytest.mark.parametrize("draw", NO_DIFFERENCE)
@simulated(40, nightly=400)
def test_kinds_of_equal_mean_are_told_apart_no_oftener_than_it_says(draw: Draw, seeds: range) -> None:
    """Whatever their lengths, their spread and the bunching of image tokens."""
    assert_share(p_values(draw, seeds) <= 0.05, 0.005, 0.07)


def test_a_permutation_of_tokens_would_cry_wolf_where_images_go_to_one_expert_each() -> None:
    """In all of 10 studies in which kinds have the same mean; the exchange of whole kinds does in at most 2."""
    rng, p_of_tokens = np.random.default_rng(0), []
    for _ in range(10):
        first, second = (one[:, 0] for one in images_of_one_expert(rng, 20))
        both, null = first + second, []
        for _ in range(39):
            drawn = np.array(
                [rng.multivariate_hypergeometric(all_, int(n)) for all_, n in zip(both, first.sum(1), strict=True)]
            )
            null.append(msi_of(drawn, both - drawn))
        p_of_tokens.append((1 + sum(one >= msi_of(first, second) for one in null)) / 40)
    assert max(p_of_tokens) == 1 / 40
    assert np.count_nonzero(p_values(images_of_one_expert, range(10)) <= 0.05) <= 2


@simulated(30, nightly=200)
def test_a_planted_difference_is_found(seeds: range) -> None:
    assert_power(p_values(planted, seeds, units=40))


@simulated(40, nightly=400)
def test_no_layer_is_named_oftener_than_adjusted_p_says(seeds: range) -> None:
    least = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        found = difference_within(*alike(rng, 20, layers=5), permutations=199, rng=rng)
        least.append(min(layer.adjusted for layer in found.layers))
    assert_level(least)


@pytest.mark.nightly
def test_the_interval_of_the_divergence_holds_that_of_many_units() -> None:
    held = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        first, second = planted(rng, 1500)
        truth = difference_within(first, second, permutations=1, rng=0).layers[0].jensen_shannon
        ci = difference_within(first[:40], second[:40], permutations=1, rng=0).layers[0].jensen_shannon_ci
        assert ci is not None
        held.append(ci[0] <= truth <= ci[1])
    assert_share(np.array(held), 0.9, 0.99)


def test_a_unit_without_a_kind_in_a_layer_is_left_out_of_that_layer() -> None:
    first, second = alike(np.random.default_rng(0), 8, layers=2)
    without = first.copy()
    without[3, 1] = 0
    found = difference_within(without, second, permutations=19, rng=0)
    assert [layer.units for layer in found.layers] == [8, 7]
    rest = [n for n in range(8) if n != 3]
    assert found.layers[1].msi == pytest.approx(msi_of(first[rest, 1], second[rest, 1]))


def test_two_units_are_too_few() -> None:
    with pytest.raises(NotComputable, match="fewer than 3"):
        difference_within(*alike(np.random.default_rng(0), 2), permutations=9, rng=0)
    first, second = alike(np.random.default_rng(0), 4, layers=2)
    first[:, 1] = 0
    with pytest.raises(NotComputable, match="layer 2 of 2"):
        difference_within(first, second, permutations=9, rng=0)
