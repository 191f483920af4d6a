"""The section on load balancing: dropped selections, routers without a choice, samples, and files of before."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.studies.codec import from_values, to_values
from moexray.studies.cohort import Cohort
from moexray.studies.limits import Limits
from moexray.studies.notes import Notes
from moexray.studies.sections.balance import Balance, load_balancing

from .. import made


def test_a_layer_that_the_router_dropped_for_a_prompt_makes_no_number_that_is_not_finite() -> None:
    of = made.signatures(16, drops=True)
    counts = of.counts.copy()
    counts[3, :, 1] = 0
    notes = Notes()
    found = load_balancing(Cohort.of(of.replace(counts=counts)), notes)
    assert from_values(to_values(found), Balance) == found  # to_values refuses NaN
    assert "the router dropped" in notes.found["uniform"]
    assert "of the selections" in notes.found["uniform"]


def test_a_prompt_all_of_whose_selections_were_dropped_is_left_out() -> None:
    of = made.signatures(16, drops=True)
    counts = of.counts.copy()
    counts[3] = 0
    with_it = load_balancing(Cohort.of(of.replace(counts=counts)), Notes())
    without = load_balancing(Cohort.of(of.take([i for i in range(16) if i != 3])), Notes())
    assert with_it == without


@pytest.mark.parametrize(("experts", "top_k"), [(4, 4), (1, 1)])
def test_a_router_that_has_no_choice_gets_no_verdict(experts: int, top_k: int) -> None:
    with pytest.raises(NotComputable, match="leave no choice"):
        load_balancing(Cohort.of(made.signatures(8, experts=experts, top_k=top_k)), Notes())


def test_above_the_limit_of_selections_prompts_are_drawn_and_compared_with_themselves() -> None:
    of = made.signatures(24, length=(10, 10))
    notes = Notes()
    picks = 12 * 20 * 2 * 3  # of twelve prompts: tokens of both segments, k, layers
    found = load_balancing(Cohort.of(of, limits=Limits(balance_picks=picks)), notes)
    assert notes.found[""] == "of 12 of the 24 prompts, drawn at random"
    whole = load_balancing(Cohort.of(of), Notes())
    assert found.uniform.within.observed != whole.uniform.within.observed
    assert whole.uniform.within.observed == pytest.approx(Cohort.of(of).similarity.within.mean)


def test_groups_make_no_pairs() -> None:
    """The observed mean is that of the headline, which leaves out the pairs inside groups."""
    groups = [f"g{i // 4}" for i in range(24)]
    cohort = Cohort.of(made.signatures(24, groups=groups))
    assert load_balancing(cohort, Notes()).load_matched.within.observed == pytest.approx(cohort.similarity.within.mean)
    assert np.isfinite(cohort.similarity.within.mean)


def test_a_file_of_before_knows_all_pairs_only() -> None:
    null = {"mean": 0.9, "ci": [0.89, 0.91], "within_above": False, "across_below": True}
    found = from_values({"uniform": null, "load_matched": null}, Balance)
    assert found.uniform.within is None
    assert found.uniform.across_below
