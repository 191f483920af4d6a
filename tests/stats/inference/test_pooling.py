"""The mean over captures has the errors of prompts, which captures share, and of captures; simulated with both."""

import numpy as np
import pytest
from scipy.stats import t

from moexray.errors import NotComputable
from moexray.stats.inference.pooling import PooledEffect, pooled_effect

from ..simulations import assert_share, simulated

PROMPTS = 80
STRATA = np.repeat(np.arange(4), PROMPTS // 4)


def study(rng: np.random.Generator, captures: int, between: float, shared: float) -> tuple[PooledEffect, float]:
    """Return the pooled mean of values of prompts, of which a part is shared, and the effect of one more capture.

    The true mean is 0. A value of a prompt has variance 1, so that a mean over 80 of them has a standard error of 0.11.
    """
    common = np.sqrt(shared) * rng.normal(size=(PROMPTS, 1))
    values = common + np.sqrt(1 - shared) * rng.normal(size=(PROMPTS, captures + 1))
    values = values + between * rng.normal(size=captures + 1)
    effects = values.mean(axis=0)
    left_out = (values.sum(axis=0) - values) / (PROMPTS - 1)
    return pooled_effect(effects[:-1], left_out[:, :-1], STRATA), float(effects[-1])


@pytest.mark.parametrize("captures", [2, 3, 5, 10])
@pytest.mark.parametrize("between", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("shared", [0.2, 0.8])
@simulated(250, nightly=3000)
def test_the_intervals_hold_the_mean_and_the_effect_of_one_more_capture(
    seeds: range, captures: int, between: float, shared: float
) -> None:
    rng = np.random.default_rng([len(seeds), captures])
    found = [study(rng, captures, between, shared) for _ in seeds]
    # Of two or three captures, Student's quantile is so large that hardly any interval misses.
    assert_share(np.array([one.ci[0] <= 0 <= one.ci[1] for one, _ in found]), 0.93, 0.995 if captures > 3 else 1.0)
    new = [one.new_capture_ci[0] <= effect <= one.new_capture_ci[1] for one, effect in found]
    assert_share(np.array(new), 0.93, 0.97)


@simulated(100, nightly=1000)
def test_the_deviation_between_captures_is_that_of_their_true_effects(seeds: range) -> None:
    rng = np.random.default_rng(len(seeds))
    large = [study(rng, 10, 0.5, 0.5)[0].between_sd ** 2 for _ in seeds]
    assert np.mean(large) == pytest.approx(0.25, rel=0.2)
    none = [study(rng, 10, 0.0, 0.5)[0].between_sd for _ in seeds]
    assert 0.3 < np.mean(np.array(none) == 0) < 0.8


def test_more_captures_do_not_make_the_error_of_shared_prompts_smaller() -> None:
    rng = np.random.default_rng(0)
    found = [study(rng, captures, 0.0, 1.0)[0] for captures in (2, 5, 20)]
    for one in found:
        assert one.prompt_error == pytest.approx(1 / np.sqrt(PROMPTS), rel=0.25)
        assert one.capture_error == pytest.approx(0, abs=1e-6)
        assert one.ci[1] - one.mean == pytest.approx(t.ppf(0.975, PROMPTS - 4) * one.prompt_error, rel=0.01)


def test_captures_with_nothing_in_common_have_the_interval_of_a_mean_of_as_many_values() -> None:
    effects = np.array([0.1, 0.9, 0.5, 1.3])
    found = pooled_effect(effects, np.tile(effects, (PROMPTS, 1)), STRATA)
    half = t.ppf(0.975, 3) * effects.std(ddof=1) / 2
    assert found.ci == pytest.approx((0.7 - half, 0.7 + half))
    assert found.between_sd == pytest.approx(effects.std(ddof=1))
    assert found.new_capture_ci == pytest.approx((0.7 - half * np.sqrt(5), 0.7 + half * np.sqrt(5)))


def test_one_capture_or_a_missing_effect_is_refused() -> None:
    with pytest.raises(NotComputable, match="one capture"):
        pooled_effect(np.ones(1), np.ones((PROMPTS, 1)), STRATA)
    missing = np.ones((PROMPTS, 2))
    missing[3, 1] = np.nan
    with pytest.raises(NotComputable, match="missing in some capture"):
        pooled_effect(np.ones(2), missing, STRATA)
