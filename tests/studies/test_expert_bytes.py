"""The size of an expert is what the capture recorded or the user says, and is never guessed."""

from typing import Any

import pytest

from moexray.errors import AnalysisError
from moexray.studies.expert_bytes import expert_bytes_of

from ..made import signatures


def test_the_recorded_size_of_each_layer_is_taken() -> None:
    assert expert_bytes_of(signatures(meta={"expert_bytes": [10, 20, 30]})) == (10, 20, 30)


def test_what_the_user_says_counts_for_every_layer() -> None:
    assert expert_bytes_of(signatures(meta={"expert_bytes": [10, 20, 30]}), 7) == (7, 7, 7)


def test_an_unknown_size_is_not_guessed() -> None:
    assert expert_bytes_of(signatures()) is None


@pytest.mark.parametrize("bad", [[10, 20], [10, 20, -1], [10, 20, True], "much", [1.5, 2, 3], [10, 20, 2**62]])
def test_a_size_that_fits_no_layer_is_refused(bad: Any) -> None:
    with pytest.raises(AnalysisError, match="expert_bytes"):
        expert_bytes_of(signatures(meta={"expert_bytes": bad}))


@pytest.mark.parametrize("given", [0, -1, 2**50 + 1, 9 * 10**18, 10**30])
def test_an_expert_takes_a_byte_at_least_and_no_more_than_whole_numbers_hold(given: int) -> None:
    """Nine exabytes times eight experts are a negative number of 64 bits."""
    with pytest.raises(AnalysisError, match="one byte at least, and 1,125,899,906,842,624 at most"):
        expert_bytes_of(signatures(), given)
