"""The difference of two studies: its interval has the errors of both, and equivalence needs a margin and data."""

import numpy as np
import pytest
from scipy.stats import norm, t

from moexray.stats.inference.replication import Estimate, study_difference

from ..simulations import assert_share, simulated


def of(value: float, half: float) -> Estimate:
    return Estimate(value, (value - half, value + half))


def test_the_half_widths_of_both_studies_add_in_quadrature() -> None:
    found = study_difference(of(1.0, 0.3), of(0.5, 0.4))
    assert found.value == 0.5
    assert found.ci == pytest.approx((0.0, 1.0))
    assert found.detectable == pytest.approx(0.5)
    ratio = norm.ppf(0.95) / norm.ppf(0.975)
    assert found.equivalence_ci == pytest.approx((0.5 - 0.5 * ratio, 0.5 + 0.5 * ratio))


def test_the_upper_side_of_one_meets_the_lower_side_of_the_other() -> None:
    found = study_difference(Estimate(1.0, (0.9, 1.3)), Estimate(0.0, (-0.4, 0.2)))
    assert found.ci == pytest.approx((1 - np.hypot(0.1, 0.2), 1 + np.hypot(0.3, 0.4)))


def test_an_interval_of_a_smaller_error_is_wider_by_students_quantiles() -> None:
    found = study_difference(of(0.0, 1.0), of(0.0, 0.0), level=0.05 / 4, freedom=4)
    assert found.ci[1] == pytest.approx(t.ppf(1 - 0.05 / 8, 4) / t.ppf(0.975, 4))


@pytest.mark.parametrize(
    ("difference", "half", "margin", "agreement"),
    [
        (0.0, 0.1, 0.2, "equivalent"),
        (0.1, 0.3, 0.2, "undecided"),  # may be 0, and may be 0.4
        (0.15, 0.1, 0.3, "equivalent"),  # not 0, and of no importance all the same
        (0.5, 0.3, 0.2, "different"),
        (-0.5, 0.3, 0.2, "different"),
        (0.0, 0.01, None, "undecided"),
        (0.5, 0.01, None, "different"),
        (0.0, 0.2, 0.1, "undecided"),
    ],
)
def test_two_values_are_equivalent_different_or_undecided(
    difference: float, half: float, margin: float | None, agreement: str
) -> None:
    assert study_difference(of(difference, half), of(0.0, 0.0)).agreement(margin) == agreement


@pytest.mark.parametrize("numbers", [(4, 4), (4, 40), (40, 4), (20, 20)])
@simulated(600, nightly=20_000)
def test_a_replication_of_the_same_truth_falls_into_the_interval(seeds: range, numbers: tuple[int, int]) -> None:
    """Means of normal values: the interval of the difference holds 0 in at least 95 % of pairs of studies."""
    rng = np.random.default_rng(len(seeds))
    found = [study_difference(_mean(rng, numbers[0]), _mean(rng, numbers[1])).ci for _ in seeds]
    assert_share(np.array([low <= 0 <= high for low, high in found]), 0.945, 0.99)


@simulated(600, nightly=20_000)
def test_values_that_differ_by_the_margin_are_rarely_called_equivalent(seeds: range) -> None:
    """At a difference of just the margin, two one-sided tests of 5 % err in at most 5 %, however large the studies."""
    rng = np.random.default_rng(len(seeds))
    for number in (5, 20, 80):
        found = [study_difference(_mean(rng, number, 0.5), _mean(rng, number)).agreement(0.5) for _ in seeds]
        assert_share(np.array([one == "equivalent" for one in found]), 0, 0.055)


def _mean(rng: np.random.Generator, number: int, truth: float = 0.0) -> Estimate:
    values = rng.normal(truth, size=number)
    return of(float(values.mean()), float(t.ppf(0.975, number - 1) * values.std(ddof=1) / np.sqrt(number)))
