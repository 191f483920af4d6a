"""capture(): from prompts to signatures that say how they were made."""

import numpy as np
import pytest

import moexray
from moexray.errors import CaptureError
from moexray.prompts import Prompt
from moexray.recording import capture

PROMPTS = [Prompt("abcd", "first", "one"), Prompt("xy", "second", "two"), Prompt("mnopqrs", "first", "three")]


def test_signatures_keep_the_prompts_in_the_order_given(tiny_olmoe_folder: str) -> None:
    """Although prompts run in the order of their length."""
    signatures = capture(PROMPTS, model=tiny_olmoe_folder, max_new_tokens=3, batch_tokens=14)
    assert signatures.prompts.ids == ("one", "two", "three")
    assert signatures.prompts.categories == ("first", "second", "first")
    assert signatures.prompts.texts == ("abcd", "xy", "mnopqrs")
    assert signatures.tokens.tolist() == [[4, 2], [2, 2], [7, 2]]
    assert signatures.counts.dtype == np.uint8


def test_the_meta_says_what_ran_and_how(tiny_olmoe_folder: str) -> None:
    meta = capture(PROMPTS, model=tiny_olmoe_folder, max_new_tokens=3, device="cpu").meta
    assert meta["model"] == tiny_olmoe_folder
    assert meta["moexray"] == moexray.__version__
    assert (meta["engine"], meta["device"], meta["dtype"]) == ("transformers", "cpu", "bfloat16")
    assert (meta["max_new_tokens"], meta["do_sample"], meta["chat_template"]) == (3, False, False)
    assert meta["experts_implementation"]
    assert {"engine_version", "revision", "created", "batch_tokens", "seed", "attention_implementation"} <= meta.keys()


def test_progress_is_told_after_each_batch_in_prompts_and_tokens(tiny_olmoe_folder: str) -> None:
    told: list[tuple[int, int]] = []
    signatures = capture(
        PROMPTS,
        model=tiny_olmoe_folder,
        max_new_tokens=3,
        batch_tokens=14,
        on_progress=lambda prompts, tokens: told.append((prompts, tokens)),
    )
    assert [prompts for prompts, _ in told] == [1, 3]
    assert told[-1][1] == signatures.tokens.sum()


def test_the_same_capture_twice_is_the_same(tiny_olmoe_folder: str) -> None:
    first, second = (capture(PROMPTS, model=tiny_olmoe_folder, max_new_tokens=8) for _ in range(2))
    np.testing.assert_array_equal(first.counts, second.counts)
    assert first.prompts.outputs == second.prompts.outputs


@pytest.mark.parametrize(
    ("prompts", "options", "problem"),
    [
        ([], {}, "no prompts"),
        (PROMPTS, {"max_new_tokens": -1}, "`max_new_tokens` is -1"),
        (PROMPTS, {"temperature": -0.5}, "`temperature` is -0.5"),
        (PROMPTS, {"top_p": 0.0}, "`top_p` is 0.0"),
        (PROMPTS, {"batch_tokens": 0}, "batch_tokens is 0"),
        ([*PROMPTS, PROMPTS[0]], {}, "two prompts have the id 'one'"),
    ],
)
def test_what_cannot_run_is_refused_before_a_model_is_loaded(
    prompts: list[Prompt], options: dict[str, int], problem: str
) -> None:
    with pytest.raises(CaptureError, match=problem):
        capture(prompts, model="no/such-model", **options)
