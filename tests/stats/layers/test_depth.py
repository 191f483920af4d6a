"""The trend with depth: scipy's rank correlation, a slope by least squares, and a p that knows layers share prompts."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import linregress, spearmanr, t

from moexray.errors import NotComputable
from moexray.stats.layers.covariance import layer_covariance
from moexray.stats.layers.depth import DepthTrend, depth_trend
from moexray.stats.pairs.similarity import category_effect

from ..simulations import assert_level, assert_power, assert_share, simulated

EFFECTS = [0.3, 0.1, 0.5, 0.45, 0.9, 0.4, 0.9]
STRATA = np.repeat([0, 1], [5, 7])
WITHOUT_EACH = np.array(EFFECTS) + 0.1 * np.random.default_rng(0).normal(size=(12, 7))


def test_spearman_is_scipys_ties_included_and_the_slope_that_of_least_squares() -> None:
    layers = [0, 1, 2, 4, 5, 9, 11]
    found = depth_trend(layers, EFFECTS, WITHOUT_EACH, STRATA)
    assert found.spearman == pytest.approx(spearmanr(layers, EFFECTS).statistic)
    assert found.slope == pytest.approx(linregress(layers, EFFECTS).slope)


def test_p_and_interval_are_those_of_the_slope_with_each_prompt_left_out() -> None:
    """The jackknife of the slope itself, by its definition."""
    slopes = np.array([linregress(range(7), row).slope for row in WITHOUT_EACH])
    variances = [(n - 1) * np.var(slopes[of]) for n, of in ((5, STRATA == 0), (7, STRATA == 1))]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 4 + variances[1] ** 2 / 6)
    slope, error = linregress(range(7), EFFECTS).slope, np.sqrt(sum(variances))
    found = depth_trend(range(7), EFFECTS, WITHOUT_EACH, STRATA)
    half = t.ppf(0.975, freedom) * error
    assert found.slope_ci == pytest.approx((slope - half, slope + half))
    assert found.p_value == pytest.approx(2 * t.sf(slope / error, freedom))
    scaled = depth_trend([10 * i for i in range(7)], EFFECTS, WITHOUT_EACH, STRATA)
    assert (scaled.p_value, scaled.slope) == pytest.approx((found.p_value, found.slope / 10))


def test_the_covariance_of_layers_is_that_of_numpy_scaled_to_a_mean() -> None:
    """Means of two samples: leaving one value out of n moves a mean by 1/(n − 1) of its distance."""
    values = np.random.default_rng(1).normal(size=(12, 3))
    means = np.stack([values[c == STRATA].mean(axis=0) for c in (0, 1)])
    sizes = np.bincount(STRATA)[STRATA][:, None]
    without_each = means.sum(axis=0) + (means[STRATA] - values) / (sizes - 1)
    found = layer_covariance(without_each, STRATA)
    expected = sum(np.cov(values[c == STRATA].T) / n for c, n in ((0, 5), (1, 7)))
    np.testing.assert_allclose(found.total, expected)


def test_the_peak_is_named_by_the_layers_index_in_the_model() -> None:
    assert depth_trend([3, 7, 9], [0.1, 0.9, 0.2], WITHOUT_EACH[:, :3], STRATA).peak_layer == 7


@pytest.mark.parametrize(
    ("effects", "reason"),
    [
        ([0.1, 0.2], "three layers"),
        ([0.1, None, 0.3], "effect size in each"),
        ([0.5, 0.5, 0.5], "same effect size"),
        ([0.5, 0.5 + 1e-16, 0.5 - 1e-13], "same effect size"),
    ],
)
def test_too_little_for_a_trend_is_not_computable(effects: list[float | None], reason: str) -> None:
    with pytest.raises(NotComputable, match=reason):
        depth_trend(range(len(effects)), effects, WITHOUT_EACH[:, : len(effects)], STRATA)


def test_a_category_of_two_prompts_or_an_effect_that_a_prompt_decides_has_no_trend() -> None:
    with pytest.raises(NotComputable, match="3 prompts, or groups, of each category"):
        depth_trend(range(7), EFFECTS, WITHOUT_EACH, np.repeat([0, 1], [2, 10]))
    undefined = WITHOUT_EACH.copy()
    undefined[3, 2] = np.nan
    with pytest.raises(NotComputable, match="without one of the prompts"):
        depth_trend(range(7), EFFECTS, undefined, STRATA)


def signatures(
    rng: np.random.Generator, correlation: float, *, sizes: tuple[int, ...], layers: int, growth: float, strength: float
) -> np.ndarray:  # (prompts, layers, dimensions)
    """Categories lie as far apart in every layer, or by `growth` further in each; prompts stray slowly over layers."""
    of_category = np.repeat(np.arange(len(sizes)), sizes)
    strays = rng.normal(size=(sum(sizes), layers, 24))
    for layer in range(1, layers):
        strays[:, layer] *= np.sqrt(1 - correlation**2)
        strays[:, layer] += correlation * strays[:, layer - 1]
    strengths = strength * (1 + growth * np.linspace(-1, 1, layers))
    centres = rng.normal(size=(len(sizes), 1, 24))
    return 3 + strengths[:, None] * centres[of_category] + strays


def trend(
    seed: int,
    correlation: float,
    *,
    sizes: tuple[int, ...] = (20,) * 4,
    layers: int = 16,
    growth: float = 0.0,
    strength: float = 0.35,
) -> DepthTrend:
    vectors = signatures(
        np.random.default_rng([7, seed]), correlation, sizes=sizes, layers=layers, growth=growth, strength=strength
    )
    strata = np.repeat(np.arange(len(sizes)), sizes)
    effects = [category_effect(vectors[:, layer], ["abcd"[c] for c in strata]) for layer in range(layers)]
    without_each = np.column_stack([effect.without_each for effect in effects])
    return depth_trend(range(layers), [effect.cohens_d for effect in effects], without_each, strata)


SMALL: dict[str, Any] = {"sizes": (8,) * 4, "layers": 6}


def studied(seeds: range, correlation: float, **options: float) -> list[DepthTrend]:
    """Small studies in every run, those of four times twenty prompts nightly."""
    return _studied(seeds, correlation, tuple(options.items()))


@cache
def _studied(seeds: range, correlation: float, options: tuple[tuple[str, float], ...]) -> list[DepthTrend]:
    small = SMALL if len(seeds) < 100 else {}
    return [trend(seed, correlation, **{**small, **dict(options)}) for seed in seeds]


@simulated(40, nightly=300)
@pytest.mark.parametrize("correlation", [0, 0.5, 0.8, 0.95])
def test_layers_of_one_effect_show_no_trend_however_their_prompts_stray(correlation: float, seeds: range) -> None:
    assert_level([found.p_value for found in studied(seeds, correlation)])


@simulated(40, nightly=300)
@pytest.mark.parametrize("correlation", [0, 0.95])
def test_the_slope_of_equal_layers_lies_in_its_interval(correlation: float, seeds: range) -> None:
    found = [one.slope_ci for one in studied(seeds, correlation)]
    assert_share(np.array([low <= 0 <= high for low, high in found]), 0.93, 0.97)


@simulated(20, nightly=100)
def test_an_effect_that_grows_with_depth_is_found(seeds: range) -> None:
    assert_power([found.p_value for found in studied(seeds, 0.5, growth=0.6)])


@simulated(40, nightly=300)
def test_where_labels_mean_nothing_a_trend_is_rarer_still(seeds: range) -> None:
    """Without an effect in any layer the jackknife's variance is too large, so p errs on the safe side."""
    found = [trend(seed, 0.8, growth=0.0, strength=0.0, **(SMALL if len(seeds) < 100 else {})) for seed in seeds]
    assert_share(np.array([one.p_value for one in found]) <= 0.05, 0.0, 0.05)
