"""The plan of batches is a function of lengths and budget: every prompt once, none beyond the budget."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from moexray.errors import OutOfMemory
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.batches import halves, plan_batches
from moexray.recording.capture import capture_with

from .made_engine import MadeEngine


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(0, 50), st.integers(1, 3000))
def test_every_prompt_runs_once_within_the_budget_or_alone(lengths: list[int], new: int, budget: int) -> None:
    batches = plan_batches(np.array(lengths), new, budget)
    assert sorted(prompt for batch in batches for prompt in batch) == list(range(len(lengths)))
    for batch in batches:
        cost = len(batch) * (max(lengths[prompt] for prompt in batch) + new)
        assert cost <= budget or len(batch) == 1


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_the_longest_run_first_and_like_lengths_together(lengths: list[int]) -> None:
    batches = plan_batches(np.array(lengths), 8, 500)
    order = [lengths[prompt] for batch in batches for prompt in batch]
    assert order == sorted(lengths, reverse=True)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(-1, 2)), min_size=1, max_size=60), st.integers(1, 3000))
def test_only_prompts_of_one_group_share_a_batch(prompts: list[tuple[int, int]], budget: int) -> None:
    lengths, groups = (np.array(column) for column in zip(*prompts, strict=True))
    batches = plan_batches(lengths, 8, budget, groups=groups)
    assert sorted(prompt for batch in batches for prompt in batch) == list(range(len(prompts)))
    for batch in batches:
        assert len(set(groups[batch])) == 1
        assert groups[batch[0]] >= 0 or len(batch) == 1
    for group in {0, 1, 2} & set(groups.tolist()):
        own = np.flatnonzero(groups == group)
        as_if_alone = plan_batches(lengths[own], 8, budget)
        assert [own[batch].tolist() for batch in as_if_alone] == [one for one in batches if groups[one[0]] == group]


def test_a_generated_token_counts_by_the_memory_that_it_takes() -> None:
    """Ten prompts of 10 tokens fit into 200 with 10 tokens more each, and with 40 that take a quarter."""
    lengths = np.full(20, 10)
    assert plan_batches(lengths, 0.25 * 40, 200) == plan_batches(lengths, 10, 200)
    assert [len(batch) for batch in plan_batches(lengths, 10, 200)] == [10, 10]


def test_long_prompts_share_smaller_batches_where_attention_scores_take_memory() -> None:
    """The budget found from memory counts them; one that the user gives is of tokens."""

    class Eager(MadeEngine):
        def costs_of_prompts(self, lengths: NDArray[np.integer]) -> NDArray[np.float64]:
            return lengths + lengths.astype(np.float64) ** 2

        def budget(self) -> int:
            return 2 * (10 + 10**2)

    prompts = [Prompt("a" * 10, category="c", id=f"p{i}") for i in range(4)]
    ran = []
    for batch_tokens in (None, 40):
        engine = Eager("tokens")
        capture_with(engine, prompts, Generation(0), batch_tokens=batch_tokens)
        ran.append([len(batch) for batch in engine.ran])
    assert ran == [[2, 2], [4]]


def test_batches_that_do_not_fit_are_split_into_single_prompts_at_most() -> None:
    assert halves([[4, 1, 7], [2]]) == [[4, 1], [7], [2]]


class Narrow(MadeEngine):
    """Holds two prompts at once."""

    def run(self, prompts: Sequence[Prompt], generation: Generation, **options: Any) -> Iterator[Any]:
        if len(prompts) > 2:
            raise OutOfMemory
        return super().run(prompts, generation, **options)


def test_the_meta_says_how_often_batches_were_halved_also_where_the_capture_was_stopped(tmp_path: Path) -> None:
    """Eight prompts in one batch are halved twice; where memory is wider later, those halves run as they are."""
    prompts = [Prompt("a" * 5, category="c", id=f"p{i}") for i in range(8)]
    out = tmp_path / "out.npz"
    with pytest.raises(KeyboardInterrupt):
        capture_with(Narrow("tokens", stop_after=4), prompts, Generation(0), out=out, batch_tokens=40)
    engine = MadeEngine("tokens")
    found = capture_with(engine, prompts, Generation(0), out=out, batch_tokens=40)
    assert [len(batch) for batch in engine.ran] == [2, 2]
    assert (found.meta["batch_tokens"], found.meta["batches_halved"]) == (40, 2)
    assert "batches_halved" not in capture_with(MadeEngine("tokens"), prompts, Generation(0), batch_tokens=40).meta
