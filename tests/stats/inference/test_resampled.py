"""Intervals of cross-validated accuracies cover what other samples give, and never leave 0 to 1."""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.special import stdtrit

from moexray.stats.categories.classifier import Classification, classify, prompt_weights
from moexray.stats.inference.intervals import wilson_interval
from moexray.stats.inference.resampled import gain_interval, share_interval
from moexray.stats.inference.units import units_of
from tests.stats.simulations import assert_share, simulated

CATEGORIES = 4
UNEQUAL = [size for size in (1, 2, 4, 6, 7) for _ in range(CATEGORIES)]


def centres(dimensions: int) -> np.ndarray:
    """One population: every study draws its prompts around the same centres."""
    return np.random.default_rng(99).normal(size=(CATEGORIES, dimensions))


def independent(seeds: range, prompts: int, dimensions: int, separation: float, folds: int) -> Iterator[Classification]:
    numbers = np.arange(prompts) % CATEGORIES
    for seed in seeds:
        rng = np.random.default_rng(seed)
        vectors = separation * centres(dimensions)[numbers] + rng.normal(size=(prompts, dimensions))
        yield classify(vectors, numbers.astype(str).tolist(), folds=folds)


def in_groups(
    seeds: range, prompts: int | list[int], separation: float = 0.4, spread: float = 0.3
) -> Iterator[Classification]:
    """20 groups, each one draw around its category's centre, with its prompts close to it."""
    groups = np.repeat(np.arange(20), prompts)
    numbers = groups % CATEGORIES
    for seed in seeds:
        rng = np.random.default_rng(seed)
        of_group = separation * centres(30)[np.arange(20) % CATEGORIES] + rng.normal(size=(20, 30))
        vectors = of_group[groups] + spread * rng.normal(size=(len(groups), 30))
        yield classify(vectors, numbers.astype(str).tolist(), groups=groups.astype(str).tolist())


def assert_covers(found: list[Classification], low: float, high: float) -> None:
    """Compare with the mean accuracy over studies."""
    for name in ("accuracy", "balanced_accuracy"):
        truth = np.mean([getattr(one, name) for one in found])
        ends = np.array([getattr(one, f"{name}_ci") for one in found])
        assert_share((ends[:, 0] <= truth) & (truth <= ends[:, 1]), low, high)


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [4, 10, UNEQUAL], ids=["4", "10", "1 to 7"])
@simulated(20, nightly=200)
def test_accuracy_of_groups_is_covered(prompts: int | list[int], seeds: range) -> None:
    """An interval over prompts would cover it in about half of the studies."""
    assert_covers(list(in_groups(seeds, prompts)), 0.93, 0.97)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompts", "dimensions", "separation", "folds", "low", "high"),
    [
        (12, 30, 0.5, 3, 0.90, 0.99),
        (20, 30, 0.5, 5, 0.90, 0.98),
        (40, 30, 0.5, 5, 0.93, 0.97),
        (80, 60, 0.2, 5, 0.93, 0.97),
        (80, 60, 0.5, 5, 0.93, 0.97),
        (80, 60, 0.5, 10, 0.93, 0.97),
        (80, 60, 1.2, 5, 0.93, 1.0),
        (200, 60, 0.4, 5, 0.93, 0.98),
    ],
)
@simulated(6, nightly=300)
def test_accuracy_is_covered(  # noqa: PLR0917
    prompts: int, dimensions: int, separation: float, folds: int, low: float, high: float, seeds: range
) -> None:
    assert_covers(list(independent(seeds, prompts, dimensions, separation, folds)), low, high)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.7])
@simulated(8, nightly=300)
def test_the_difference_of_two_equally_good_views_covers_zero(shared: float, seeds: range) -> None:
    """Two views of 80 prompts in 40 dimensions; `shared` is the part of the noise that both see."""
    numbers = np.arange(80) % CATEGORIES
    covered = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        common = np.sqrt(shared) * rng.normal(size=(80, 40))
        views = [
            0.4 * centres(40)[numbers] + common + np.sqrt(1 - shared) * rng.normal(size=(80, 40)) for _ in range(2)
        ]
        first, second = (classify(view, numbers.astype(str).tolist()) for view in views)
        ends = gain_interval(first.right.astype(float) - second.right, first.units, folds=5)
        assert ends is not None
        covered.append(ends[0] <= 0 <= ends[1])
    assert_share(np.array(covered), 0.93, 0.97)


def test_independent_prompts_count_as_four_fifths_of_them() -> None:
    """With as many right in each category, v is p(1 − p)/(n − C); the cap takes n instead; five folds leave 4/5."""
    right = np.tile([True, True, True, False], (1, 10))
    units = units_of([str(i // 20) for i in range(40)])
    equal, balanced = prompt_weights(units.categories)
    for weights in (equal, balanced):
        found = share_interval(right, weights, units, folds=5)
        effective = min(40, 40 * 19 / 20) * 4 / 5
        assert found == pytest.approx(wilson_interval(0.75 * effective, effective))


def test_prompts_of_a_group_that_are_right_or_wrong_together_count_as_one() -> None:
    right = np.repeat([[True, True, True, False] * 5], 10, axis=1)
    labels = [str(i // 100) for i in range(200)]
    units = units_of(labels, [f"g {i // 10}" for i in range(200)])
    alone = units_of(labels[::10])
    found = share_interval(right, prompt_weights(units.categories)[0], units, folds=5)
    assert found == pytest.approx(share_interval(right[:, ::10], prompt_weights(alone.categories)[0], alone, folds=5))


def test_one_large_group_among_four_small_ones_says_almost_nothing() -> None:
    """Of 104 prompts 100 are one template: weights of 100, 1, 1, 1 and 1 are those of 1.08 equal units."""
    groups = ["large"] * 100 + ["", "", "", ""]
    units = units_of(["a"] * 104, groups)
    right = np.ones((1, 104), dtype=bool)
    found = share_interval(right, prompt_weights(units.categories)[0], units, folds=None)
    assert found == pytest.approx(wilson_interval(104**2 / (100**2 + 4), 104**2 / (100**2 + 4)))
    assert found[0] < 0.25


def test_all_right_reaches_one_and_all_wrong_zero() -> None:
    """By rounding, the end of Wilson's formula lies below 1 for many numbers of prompts, 80 among them."""
    for prompts in range(4, 400):
        units = units_of([str(i % 2) for i in range(prompts)])
        for weights in prompt_weights(units.categories):
            assert share_interval(np.ones((2, prompts), dtype=bool), weights, units, folds=2)[1] == 1
            assert share_interval(np.zeros((2, prompts), dtype=bool), weights, units, folds=2)[0] == 0
        assert wilson_interval(prompts, prompts)[1] == 1
        assert wilson_interval(0, prompts)[0] == 0


def test_an_interval_holds_its_share_and_stays_within_0_and_1() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        prompts, categories = int(rng.integers(6, 60)), int(rng.integers(2, 5))
        labels = [str(i % categories) for i in range(prompts)]
        groups = [str(name) for name in rng.integers(0, prompts, size=prompts)]
        units = units_of(labels, groups if rng.random() < 0.5 else None)
        right = rng.random((int(rng.integers(1, 4)), prompts)) < rng.random()
        for weights in prompt_weights(units.categories):
            low, high = share_interval(right, weights, units, folds=int(rng.integers(2, 6)))
            assert 0 <= low <= (right @ weights).mean() + 1e-12
            assert (right @ weights).mean() - 1e-12 <= high <= 1


def test_a_gain_has_the_paired_variance_and_more_for_shared_training_prompts() -> None:
    """One partition, one category of 40: Student's interval of a mean, its variance times 5/4."""
    gains = np.random.default_rng(0).integers(-1, 2, size=(1, 40)).astype(float)
    half = stdtrit(39, 0.975) * np.sqrt(gains.var(ddof=1) / 40 * 5 / 4)
    found = gain_interval(gains, units_of(["a"] * 40), folds=5)
    assert found == pytest.approx((gains.mean() - half, gains.mean() + half))


def test_gains_that_do_not_vary_have_no_interval() -> None:
    assert gain_interval(np.zeros((2, 8)), units_of(list("aaaabbbb")), folds=2) is None
