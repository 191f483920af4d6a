"""Router scores go with what was selected, or are refused with the layer and the reason."""

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.router_scores import have_greatest, problem_of_scores

LAYERS, WIDTHS = (2, 5), (6, 4)


def made(tokens: int = 40, k: int = 2) -> tuple[NDArray[np.float16], NDArray[np.int16]]:
    """Return scores ``(tokens, 2, 6)`` of two layers, the second narrower, and the experts of the greatest ones."""
    scores = np.random.default_rng(3).normal(size=(tokens, 2, 6)).astype(np.float16)
    scores[:, 1, 4:] = -np.inf
    return scores, np.argsort(-scores.astype(float), axis=2)[:, :, :k].astype(np.int16)


def problem(scores: NDArray[np.float16], experts: NDArray[np.int16], *, may_drop: bool = False) -> str | None:
    return problem_of_scores(scores, experts, layers=LAYERS, widths=WIDTHS, may_drop=may_drop)


def test_the_greatest_are_those_of_a_loop_over_pairs() -> None:
    """With few different values, so that ties are frequent, and with selections that are not there."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, size=(500, 5)).astype(np.float16)
    experts = rng.permuted(np.tile(np.arange(5), (500, 1)), axis=1)[:, :2]
    experts[rng.random(500) < 0.3, 1] = -1
    for row, chosen, found in zip(scores, experts, have_greatest(scores, experts), strict=True):
        selected = [expert for expert in chosen if expert >= 0]
        others = set(range(5)) - set(selected)
        assert found == all(row[one] >= row[other] for one in selected for other in others)


def test_rounding_to_half_precision_keeps_the_greatest_the_greatest() -> None:
    """Rounding changes no order, so what a router selects in more digits never fails."""
    scores = np.random.default_rng(1).random((2000, 16)) * 1e-5  # where half precision is coarse
    experts = np.argsort(-scores, axis=1)[:, :4]
    assert have_greatest(scores.astype(np.float16), experts).all()


def test_scores_of_what_was_selected_are_taken() -> None:
    scores, experts = made()
    assert problem(scores, experts) is None
    scores[:, 0, :] = np.where(np.arange(6) < 3, scores[:, 0], -np.inf)  # a group that is ruled out
    experts = np.argsort(-scores.astype(float), axis=2)[:, :, :2].astype(np.int16)
    assert problem(scores, experts) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_half_precision_does_not_hold_is_refused_by_layer(value: float) -> None:
    scores, experts = made()
    scores[7, 1, 2] = value
    assert problem(scores, experts) == "a router score of layer 5 is no number that half precision holds, " + (
        "which ends at 65504"
    )


def test_scores_that_do_not_explain_the_selection_are_refused_by_layer() -> None:
    scores, experts = made()
    experts[3, 0, 0] = np.argmin(scores[3, 0])
    assert problem(scores, experts) == "the experts that layer 2 selected are not those of its greatest scores"


def test_an_expert_that_is_ruled_out_is_not_selected() -> None:
    scores, experts = made()
    scores[0, 0] = -np.inf
    assert problem(scores, experts) == "layer 2 selected an expert whose score rules it out"


def test_a_narrow_layer_has_no_more_scores_than_experts() -> None:
    scores, experts = made()
    scores[0, 1, 5] = 0
    assert problem(scores, experts) == "layer 5 has 4 experts, and scores of more"


def test_a_router_that_drops_tokens_may_leave_out_the_greatest() -> None:
    scores, experts = made()
    experts[4, 0, 0] = -1  # the expert of the greatest score was full
    assert problem(scores, experts) is not None
    assert problem(scores, experts, may_drop=True) is None
