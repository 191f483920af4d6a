"""A near tie is judged by the gap of the swapped experts beside the spread of their token's scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from moexray.checks.ties import ROUNDINGS, gaps, group_gaps, limit_of, rankable, spread_of

SCORES = np.array([[4.0, 3.0, 2.0, 1.0]])
SPREAD = np.sqrt(1.25)  # of 4, 3, 2, 1


def gap(own: list[int], recorded: list[int], scores: np.ndarray = SCORES) -> float:
    return float(gaps(scores, np.array([own]), np.array([recorded]))[0])


def test_the_same_experts_in_another_order_have_no_gap() -> None:
    assert np.isnan(gap([0, 1], [1, 0]))


def test_the_gap_is_between_the_swapped_experts_in_units_of_the_spread() -> None:
    assert gap([0, 1], [0, 2]) == pytest.approx(1 / SPREAD)
    assert gap([0, 1], [3, 1]) == pytest.approx(3 / SPREAD)


def test_of_several_swaps_the_widest_counts() -> None:
    assert gap([0, 1], [2, 3]) == pytest.approx(3 / SPREAD)


@pytest.mark.parametrize("recorded", [[0, 0], [0, -1], [0, 4], [0, 255]])
def test_no_gap_explains_an_expert_twice_or_one_that_is_not_there(recorded: list[int]) -> None:
    assert gap([0, 1], recorded) == np.inf


def test_no_gap_explains_an_expert_that_the_router_ruled_out() -> None:
    assert gap([0, 1], [0, 3], np.array([[4.0, 3.0, 2.0, -np.inf]])) == np.inf


def test_what_is_ruled_out_is_not_part_of_the_spread() -> None:
    assert spread_of(np.array([[1.0, 3.0, -np.inf]]))[0] == 1.0


@given(st.lists(st.integers(-500, 500), min_size=6, max_size=6, unique=True))
def test_probabilities_and_their_logits_give_the_same_gaps(drawn: list[int]) -> None:
    """Their logarithms differ by a constant."""
    logits = np.array([drawn]) / 100
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own, recorded = np.argsort(-logits, axis=1)[:, :2], np.argsort(logits, axis=1)[:, :2]
    assert gaps(shares, own, recorded) == pytest.approx(gaps(logits, own, recorded), rel=1e-6, abs=1e-9)


@given(
    arrays.arrays(np.float64, (2, 5), elements=st.floats(-5, 5).map(lambda x: round(x, 3))),
    st.floats(0.125, 8).map(lambda x: round(x, 3)),
    st.floats(-3, 3),
)
def test_gaps_do_not_depend_on_scale_and_origin(scores: np.ndarray, scale: float, origin: float) -> None:
    own, recorded = np.argsort(-scores, axis=1)[:, :2], np.argsort(-scores, axis=1)[:, 1:3]
    scores[:, 0] += 20  # no probabilities, and never all the same
    expected = gaps(scores, own, recorded)
    assert gaps(scale * scores + origin, own, recorded) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_scores_that_are_no_probabilities_stay_as_they_are() -> None:
    assert (rankable(SCORES) == SCORES).all()
    assert np.isneginf(rankable(np.array([[0.25, 0.75, 0.0]]))[0, 2])


def test_the_limit_is_that_of_the_coarser_format() -> None:
    assert limit_of("float32", "bfloat16") == limit_of("bfloat16") == ROUNDINGS * 2.0**-8
    assert limit_of("float32", None) == ROUNDINGS * 2.0**-24


def test_of_a_format_that_is_not_known_no_limit_is_made_up() -> None:
    assert limit_of("bfloat16", "float8_e4m3fn") is None
    assert limit_of(None) is None


def test_groups_that_hold_all_recorded_experts_have_no_gap() -> None:
    found, taken = group_gaps(np.array([[3.0, 2.0, 1.0]]), np.array([[0, 1]]), np.array([[0, 3]]), experts=6)
    assert np.isnan(found[0])
    assert taken.tolist() == [[0, 1]]


def test_another_group_takes_the_place_of_the_lowest_that_is_not_needed() -> None:
    """Experts 0 and 5 are of groups 0 and 2: group 1 leaves, whose score is 1 above that of group 2."""
    scores = np.array([[3.0, 2.0, 1.0]])
    found, taken = group_gaps(scores, np.array([[0, 1]]), np.array([[0, 5]]), experts=6)
    assert found[0] == pytest.approx(1 / scores.std())
    assert taken.tolist() == [[0, 2]]


def test_more_groups_than_the_router_selects_are_no_tie() -> None:
    found, taken = group_gaps(np.array([[3.0, 2.0, 1.0]]), np.array([[0, 1]]), np.array([[0, 2, 5]]), experts=6)
    assert found[0] == np.inf
    assert taken.tolist() == [[0, 1]]
