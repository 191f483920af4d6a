"""The busiest device of two kinds and of their mixes, from the definition; its interval holds the true value."""

import numpy as np
import pytest

from moexray.stats import busiest, device_loads, mixed_loads
from moexray.stats.kinds.bias import shares_of

from ..simulations import assert_share
from .simulated import EXPERTS, planted

DEVICE = np.arange(EXPERTS)[None] // 4


def without_each(units: np.ndarray) -> np.ndarray:
    return shares_of(units.sum(axis=0) - units)


def test_a_mix_is_that_of_as_many_tokens_of_each() -> None:
    """Of 300 selections by the first kind and 100 by the second, a quarter is the second's."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), size=(2, 3))
    found = mixed_loads(shares, shares[None], even=shares[None], matched=shares[None], weights=[0, 0.25, 1])
    loads = 300 * shares[0] + 100 * shares[1]
    assert found[1].busiest == pytest.approx((loads.max(axis=1) / loads.mean(axis=1)).mean())
    for one, kind in ((found[0], 0), (found[2], 1)):
        assert one.busiest == pytest.approx((shares[kind].max(axis=1) / 0.25).mean())
        assert one.even == one.matched == one.busiest


def test_kinds_on_devices_of_their_own_are_even_together() -> None:
    shares = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    found = mixed_loads(shares, shares[None], even=shares[None], matched=shares[None], weights=[0, 0.5, 1])
    assert [one.busiest for one in found] == [2, 1, 2]


def test_loads_of_devices_are_sums_over_their_experts() -> None:
    counts = np.random.default_rng(0).integers(0, 9, size=(5, 2, 6))
    device = np.array([[0, 1, 2, 0, 1, 2], [2, 2, 1, 1, 0, 0]])
    found = device_loads(counts, device, 3)
    for layer in range(2):
        for one in range(3):
            assert (found[:, layer, one] == counts[:, layer, device[layer] == one].sum(axis=1)).all()
    assert (busiest(found / found.sum(axis=2, keepdims=True)) >= 1).all()


def test_without_a_unit_of_some_kind_there_is_no_interval() -> None:
    shares = np.array([[[0.5, 0.5]], [[0.25, 0.75]]])
    left_out = np.stack([shares, shares, np.full(shares.shape, np.nan)])
    (found,) = mixed_loads(shares, left_out, even=shares[None], matched=shares[None], weights=[1])
    assert (found.busiest, found.ci) == (1.5, None)


def test_the_interval_is_over_the_units_that_hold_a_kind_of_the_mix() -> None:
    """Two of twelve units hold the second kind: no interval of a mix with it, and that of the first kind alone."""
    rng = np.random.default_rng(0)
    units = rng.integers(20, 40, size=(12, 2, 3, 4))
    units[2:, 1] = 0
    shares, held = shares_of(units.sum(axis=0)), np.arange(12)[:, None] < np.array([12, 2])
    left = without_each(units)
    found = mixed_loads(shares, left, held=held, even=shares[None], matched=None, weights=[0, 0.5, 1])
    assert [one.ci is None for one in found] == [False, True, True]
    alone = units[:, [0, 0]]
    (expected,) = mixed_loads(
        shares_of(alone.sum(axis=0)), without_each(alone), even=shares[None], matched=None, weights=[0]
    )
    assert found[0].ci == pytest.approx(expected.ci)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_interval_of_even_devices_holds_one(spread: float) -> None:
    """Devices that get equal shares of many tokens are busier than that in few, which is chance."""
    held, narrow = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        preference = np.exp(0.8 * rng.normal(size=(30, 2, 3, 4)) + spread * np.arange(4))
        units = rng.poisson(100 * preference / preference.sum(axis=-1, keepdims=True))
        shares = shares_of(units.sum(axis=0))
        (found,) = mixed_loads(shares, without_each(units), even=shares[None], matched=None, weights=[0.5])
        assert found.ci is not None
        held.append(found.ci[0] <= 1.0)
        narrow.append(found.ci[0] > 1.1)
    assert np.mean(held) >= 0.9 if spread == 0 else np.mean(narrow) >= 0.9


@pytest.mark.nightly
def test_the_interval_of_a_mix_holds_that_of_many_units() -> None:
    """Of 40 prompts, beside 1,000: images that differ from each other, and prefer some devices."""
    held: list[bool] = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        units = device_loads(np.stack(planted(rng, 1000), axis=1), DEVICE, 4)  # (units, 2, layers, devices)
        truth = busiest(0.5 * shares_of(units.sum(axis=0))[0] + 0.5 * shares_of(units.sum(axis=0))[1]).mean()
        some = units[:40]
        shares = shares_of(some.sum(axis=0))
        (found,) = mixed_loads(shares, without_each(some), even=shares[None], matched=shares[None], weights=[0.5])
        assert found.ci is not None
        held.append(found.ci[0] <= truth <= found.ci[1])
    assert_share(np.array(held), 0.88, 1.0)
