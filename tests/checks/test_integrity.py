"""Rows that no router makes are found by kind, phase and layer, and no row that one makes is."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from moexray.checks.integrity import Fault, Inspector
from moexray.checks.rows import ABSENT, KINDS, kinds_of_rows, rows_of_sequence

EXPERTS, K = 6, 2


def kind(*ids: int, k: int = K, experts: int = EXPERTS, may_drop: bool = False) -> str | None:
    row = np.full((1, max(k + 1, len(ids))), ABSENT, dtype=np.int64)
    row[0, : len(ids)] = ids
    found = kinds_of_rows(row, np.array([k]), np.array([experts]), may_drop=may_drop)[0]
    return None if found < 0 else list(KINDS)[found]


@pytest.mark.parametrize("value", [0, 3, -1, 255])
def test_one_number_k_times_was_never_written(value: int) -> None:
    assert kind(value, value) == "unwritten"


def test_a_row_without_an_expert_was_never_written() -> None:
    assert kind() == "unwritten"


def test_other_faults_are_told_apart() -> None:
    assert kind(1, 6) == "range"
    assert kind(1, -3) == "range"
    assert kind(1, 1, 2, k=3) == "twice"
    assert kind(1) == "number"
    assert kind(1, 2, 3) == "number"


def test_with_k_of_one_expert_0_is_a_selection() -> None:
    assert kind(0, k=1) is None
    assert kind(-1, k=1) == "unwritten"
    assert kind(255, k=1) == "unwritten"
    assert kind(255, k=1, experts=300) is None


def test_a_router_that_may_drop_selects_fewer() -> None:
    assert kind(1, may_drop=True) is None
    assert kind(may_drop=True) is None
    assert kind(0, 0, may_drop=True) == "unwritten"


def test_equal_counts_of_distinct_ids_are_the_rows_of_a_router() -> None:
    @given(st.lists(st.integers(0, EXPERTS - 1), min_size=1, max_size=EXPERTS, unique=True))
    def holds(ids: list[int]) -> None:
        assert kind(*ids, k=len(ids)) is None

    holds()


@given(st.lists(st.integers(-2, EXPERTS + 1), min_size=K, max_size=K))
def test_what_is_found_is_what_the_definition_says(ids: list[int]) -> None:
    is_router_row = len(set(ids)) == K and all(0 <= one < EXPERTS for one in ids)
    assert (kind(*ids) is None) == is_router_row


def routed(tokens: int = 12, layers: int = 3, seed: int = 0) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(EXPERTS), (tokens, layers, 1)), axis=2)[..., :K]


def faults(edit: Callable[[NDArray[np.int64]], object], *, written: int = 8, k: int = K) -> tuple[Fault, ...]:
    """Return the faults of a prompt of twelve tokens, the last of which were written."""
    experts = routed()
    edit(experts)
    inspector = Inspector((1, 3, 5), (EXPERTS,) * 3, (k,) * 3)
    phases = np.repeat([0, 1], [len(experts) - written, written])
    inspector.add(rows_of_sequence("p", np.arange(len(experts)), phases, experts, (k,) * 3))
    return inspector.result().faults


def test_rows_of_a_router_have_no_fault() -> None:
    assert faults(lambda _experts: None) == ()


def test_zero_rows_of_a_phase_and_layer_are_named_so() -> None:
    def edit(experts: NDArray[np.int64]) -> None:
        experts[4:, 1] = 0

    (found,) = faults(edit)
    assert (found.kind, found.phase, found.layers, found.rows, found.of) == ("unwritten", "generated", (3,), 8, 8)
    assert found.first == "prompt 'p', token 4 (generated), layer 3: 0, 0"


def test_generated_rows_that_are_all_one_are_a_fault() -> None:
    def edit(experts: NDArray[np.int64]) -> None:
        experts[4:] = experts[4:5]

    (found,) = faults(edit)
    assert (found.kind, found.layers, found.rows) == ("constant", (1, 3, 5), 24)


def test_generated_rows_that_are_one_in_some_layers_may_be_so() -> None:
    """Where a text repeats itself, a layer may well send eight tokens to the same experts."""

    def edit(experts: NDArray[np.int64]) -> None:
        experts[4:, :2] = experts[4:5, :2]

    assert faults(edit) == ()


def test_a_router_that_sends_every_token_to_the_same_experts_is_none() -> None:
    """As one before its training does."""

    def edit(experts: NDArray[np.int64]) -> None:
        experts[:] = [0, 1]

    assert faults(edit) == ()


def test_rows_that_are_too_few_or_too_many_are_counted() -> None:
    inspector = Inspector((0,), (EXPERTS,), (K,))
    phases = np.repeat([0, 1], [4, 2])
    rows = rows_of_sequence("p", np.arange(6), phases, routed(6, 1), (K,))
    inspector.add(rows, np.array([[3, 4, 0]]))
    found = {one.phase: one.rows for one in inspector.result().faults}
    assert found == {"prompt": 1, "generated": 2}


def test_what_a_reader_refuses_stands_where_nothing_else_explains_it() -> None:
    inspector = Inspector((0,), (EXPERTS,), (K,))
    inspector.refuse("the file is damaged")
    assert [one.first for one in inspector.result().faults] == ["the file is damaged"]
