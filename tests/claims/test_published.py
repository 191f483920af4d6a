"""The error of a published value: as the study states it, or from the number of its prompts."""

import pytest

from moexray.claims.published import published_accuracy, published_estimate
from moexray.errors import NotComputable
from moexray.stats.inference.intervals import wilson_interval
from moexray.stats.inference.replication import Estimate

HERE = Estimate(0.7, (0.6, 0.9))


def estimate(error: dict[str, object] | None, *, spread: float = 1.0) -> Estimate:
    return published_estimate(1.0, error, HERE, prompts=36, categories=4, spread=spread)


def test_a_standard_error_is_1_96_to_either_side_and_an_interval_is_taken_as_it_stands() -> None:
    assert estimate({"se": 0.1}).ci == pytest.approx((1 - 0.196, 1 + 0.196), abs=1e-5)
    assert estimate({"ci": [0.9, 1.3]}).ci == (0.9, 1.3)


def test_of_a_number_of_prompts_the_interval_here_is_scaled_by_the_root_of_prompts_and_the_deviations() -> None:
    """36 prompts here, 17 of 4 categories there: √(36 / (17 − 8)) = 2; the sides 0.1 and 0.2 become 0.2 and 0.4."""
    assert estimate({"prompts": 17}).ci == pytest.approx((0.8, 1.4))
    assert estimate({"prompts": 17}, spread=0.5).ci == pytest.approx((0.9, 1.2))


def test_more_published_prompts_always_make_a_smaller_error() -> None:
    widths = [(ends := estimate({"prompts": n}).ci)[1] - ends[0] for n in range(9, 200)]
    assert sorted(widths, reverse=True) == widths


@pytest.mark.parametrize(
    ("error", "problem"), [(None, "gives no error"), ({"prompts": 8}, "8 prompts of 4 categories")]
)
def test_what_says_nothing_of_the_error_is_refused(error: dict[str, object] | None, problem: str) -> None:
    with pytest.raises(NotComputable, match=problem):
        estimate(error)
    if error is None:
        with pytest.raises(NotComputable, match=problem):
            published_accuracy(0.5, error, HERE)


def test_an_accuracy_of_so_many_prompts_has_the_interval_of_a_proportion() -> None:
    assert published_accuracy(0.925, {"prompts": 80}, HERE).ci == wilson_interval(74, 80)
    assert published_accuracy(0.925, {"se": 0.1}, HERE).ci == pytest.approx((0.729, 1.121), abs=1e-5)
    low, high = published_accuracy(1.0, {"prompts": 80}, HERE).ci
    assert (low, high) == (pytest.approx(wilson_interval(80, 80)[0]), 1.0)
