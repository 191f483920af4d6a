"""capture(): from prompts to signatures that say how they were made."""

import sqlite3
from collections import Counter
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import moexray
from moexray import trace_file
from moexray.cli.capture import capture as command
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording import capture as library
from moexray.recording import job
from moexray.recording.capture import capture, capture_with
from moexray.recording.progress import Progress

from .made_engine import MadeEngine

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


def test_progress_is_told_after_every_forward_pass(tiny_olmoe_folder: str) -> None:
    """The longest prompt runs alone: 7 tokens, then one a step; the last one passes no router. So do the others."""
    told: list[Progress] = []
    signatures = capture(PROMPTS, model=tiny_olmoe_folder, max_new_tokens=3, batch_tokens=14, on_progress=told.append)
    assert told[0] == Progress("loading", tiny_olmoe_folder, total_prompts=3)
    running = [(report.prompts, report.tokens) for report in told if report.stage == "running"]
    assert running == [(0, 0), (0, 7), (0, 8), (0, 9), (1, 9), (1, 15), (1, 17), (1, 19), (3, 19)]
    assert told[-1].tokens == told[-1].total_tokens == signatures.tokens.sum()


def test_a_text_that_ends_early_leaves_fewer_tokens_to_run() -> None:
    told: list[Progress] = []
    prompts = [*PROMPTS, Prompt("ends with h", "first", "four")]
    signatures = capture_with(MadeEngine(), prompts, Generation(9), on_progress=told.append)
    totals = [report.total_tokens for report in told if report.stage == "running"]
    assert totals[0] == sum(len(prompt.text) + 8 for prompt in prompts)
    assert told[-1].tokens == totals[-1] == totals[0] - 8 == signatures.tokens.sum()


@pytest.mark.parametrize("resumed", [False, True])
def test_everything_is_checked_tokenized_and_opened_once(
    tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    """Every prompt's text, every output file, the journal, the model, and the inputs of a resumed capture."""
    calls: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        plain = getattr(module, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls[name] += len(args[1]) if name == "tokenize" else 1
            return plain(*args, **options)

        monkeypatch.setattr(module, name, counted)

    out = tmp_path / "s.npz"
    options: dict[str, Any] = {"model": tiny_olmoe_folder, "max_new_tokens": 2, "record": ["trace"]}
    if resumed:
        with monkeypatch.context() as patch:
            patch.setattr(TransformersEngine, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                capture(PROMPTS, out=out, **options)
    for module, name in (
        (job, "_check_prompts"),
        (job, "check_writable"),
        (trace_file, "import_parquet"),
        (sqlite3, "connect"),
        (library, "open_engine"),
        (library, "inputs_of"),
        (library, "check_same"),
        (PromptTokens, "tokenize"),
    ):
        count(module, name)
    capture(PROMPTS, out=out, **options)
    expected = {"_check_prompts": 1, "check_writable": 2, "import_parquet": 2, "connect": 1, "open_engine": 1}
    assert calls == {**expected, "inputs_of": 1, "tokenize": 3, **({"check_same": 1} if resumed else {})}


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("prompt", [Prompt("ab", "", "p"), Prompt("ab", "c", " "), Prompt("ab", "\t", "p")])
def test_a_prompt_without_a_name_or_a_category_is_refused_before_anything_runs(prompt: Prompt) -> None:
    with pytest.raises(CaptureError, match=r"prompt '.*' has the (id|category) .*: give it one that is not blank"):
        capture([*PROMPTS, prompt], model="no such model")


def test_a_notebook_shows_every_option_with_its_type_and_default() -> None:
    parameters = signature(capture).parameters
    assert parameters.keys() >= {"model", "out", "record", "max_new_tokens", "dtype", "batch_tokens", "on_progress"}
    for name, parameter in parameters.items():
        assert parameter.annotation is not Parameter.empty
        assert parameter.kind is (Parameter.POSITIONAL_OR_KEYWORD if name == "prompts" else Parameter.KEYWORD_ONLY)
        assert (parameter.default is Parameter.empty) == (name == "prompts")


def test_the_command_line_has_every_option_with_the_same_default() -> None:
    ours, theirs = signature(capture).parameters, signature(command).parameters
    for name in ours.keys() - {"prompts", "out", "record", "moment", "opening", "on_progress"}:
        assert theirs[name].default == ours[name].default, name


def test_numbers_of_numpy_and_a_path_are_as_good(tmp_path: Path, tiny_olmoe_folder: str) -> None:
    whole = {"max_new_tokens": np.int64(2), "seed": np.uint8(3), "batch_tokens": np.int32(60)}
    options: dict[str, Any] = {**whole, "temperature": np.float32(0.5), "out": tmp_path / "s.npz"}
    found = capture(PROMPTS, model=Path(tiny_olmoe_folder), **options)
    assert (found.meta["model"], found.meta["seed"], found.meta["batch_tokens"]) == (tiny_olmoe_folder, 3, 60)


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
        (PROMPTS, {"batch_tokens": 0}, "`batch_tokens` is 0"),
        ([*PROMPTS, PROMPTS[0]], {}, "two prompts have the id 'one'"),
        (["a text"], {}, "'a text' is no prompt: make a `Prompt"),
        (PROMPTS, {"max_new_tokens": 2.5}, "`max_new_tokens` is 2.5: it must be a whole number"),
        (PROMPTS, {"top_p": None}, "`top_p` is None: it must be a number"),
        (PROMPTS, {"batch_tokens": "9"}, "`batch_tokens` is '9': it must be a whole number"),
    ],
)
def test_what_cannot_run_is_refused_before_a_model_is_loaded(
    prompts: list[Prompt], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(CaptureError, match=problem):
        capture(prompts, model="no/such-model", **options)
