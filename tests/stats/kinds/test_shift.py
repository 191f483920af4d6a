"""One kind in two sets of units: loads, balance and MSI compared like with like."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats import msi_shift, shift_of_kinds
from moexray.stats.kinds.shift import normalised_entropy

from ..simulations import assert_share, simulated
from .simulated import EXPERTS, Draw, alike, images_in_runs, planted, unequal_lengths

WIDTH = np.array([EXPERTS])


@simulated(20, nightly=300)
@pytest.mark.parametrize("draw", [alike, images_in_runs, unequal_lengths])
def test_without_a_shift_intervals_hold_zero_and_p_is_seldom_small(draw: Draw, seeds: range) -> None:
    """Twelve units against thirty: MSI would be higher in the smaller set by chance alone."""
    least: list[float] = []
    entropies: list[bool] = []
    changes: list[bool] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        first, second = draw(rng, 42)
        sets = [(one[:12], one[12:]) for one in (first, second)]
        layers = shift_of_kinds(sets, WIDTH, permutations=99, rng=rng)
        msi = msi_shift((first[:12], second[:12]), (first[12:], second[12:]), rng=rng)
        least.append(min(kind[0].adjusted for kind in layers))
        for ci, held in ((layers[1][0].entropy_ci, entropies), (msi.ci, changes)):
            assert ci is not None
            held.append(ci[0] <= 0 <= ci[1])
    assert_share(np.array(least) <= 0.05, 0.01, 0.09)
    assert_share(np.array(entropies), 0.88, 0.99)
    assert_share(np.array(changes), 0.9, 1.0)


def test_a_shift_is_found_in_the_kind_that_has_it() -> None:
    rng = np.random.default_rng(0)
    first, second = planted(rng, 60)
    text, image = (first[:30], first[30:]), (first[:30], second[30:])
    of_text, of_image = (layers[0] for layers in shift_of_kinds([text, image], WIDTH, permutations=199, rng=0))
    assert of_image.adjusted <= 0.01
    assert of_text.adjusted > 0.05
    assert of_image.jensen_shannon > 2 * of_image.jensen_shannon_floor


def test_exchanging_the_sets_turns_the_signs() -> None:
    rng = np.random.default_rng(0)
    first, second = planted(rng, 24)
    one = msi_shift((first[:12], second[:12]), (first[12:], second[12:]), rng=0)
    other = msi_shift((first[12:], second[12:]), (first[:12], second[:12]), rng=0)
    assert one.difference == pytest.approx(-other.difference)
    assert one.units == 12


def test_entropy_is_that_of_as_many_experts_as_the_layer_has() -> None:
    shares = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(normalised_entropy(shares, np.array([2, 3])), [1, 0])


def test_too_few_units_are_refused() -> None:
    first, second = alike(np.random.default_rng(0), 8)
    with pytest.raises(NotComputable, match="fewer than 3"):
        shift_of_kinds([(first[:2], first[2:])], WIDTH, permutations=9, rng=0)
    with pytest.raises(NotComputable, match="fewer than 3"):
        msi_shift((first[:2], second[:2]), (first[2:], second[2:]), rng=0)
