"""`moexray capture` takes its prompts from tables, data sets, standard input and chats, and records the same."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from pyarrow import parquet
from transformers import AutoTokenizer

from moexray.engines.transformers.checkpoint import SCALE_MODEL
from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]
ROWS = [("sum", 'What is 2 + 2,\n"exactly"?'), ("tale", "Once upon a time"), ("sum", "3 × 3 ="), ("tale", "The fox")]
OPTIONS = ("--model", "scale", "--max-new-tokens", 1, "--device", "cpu")
COLUMNS = ("--text-column", "question", "--category-column", "topic", "--id-column", "key", "--group-column", "source")


def as_csv() -> Sequence[str]:
    with Path("p.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("topic", "question"), *ROWS])
    return ("--prompts", "p.csv", "--text-column", "question", "--category-column", "topic")


def as_parquet() -> Sequence[str]:
    categories, texts = zip(*ROWS, strict=True)
    columns = {"question": texts, "topic": categories, "key": range(4), "source": [None, "a", "b", "a"]}
    parquet.write_table(pa.table({name: list(values) for name, values in columns.items()}), "p.parquet")
    return ("--prompts", "p.parquet", *COLUMNS)


def as_data_set() -> Sequence[str]:
    rows = {"prompt": [text for _, text in ROWS], "label": [("sum", "tale").index(category) for category, _ in ROWS]}
    features = Features({"prompt": Value("string"), "label": ClassLabel(names=["sum", "tale"])})
    Dataset.from_dict(rows, features=features, split="test").save_to_disk("p")
    return ("--prompts", "p", "--split", "test")


@pytest.fixture
def from_standard_input(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    lines = "".join(json.dumps({"text": text, "category": category}) + "\n" for category, text in ROWS)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    return ("--prompts", "-")


def captured(run: Run, *arguments: object) -> Signatures:
    finished = run("capture", "--quiet", *arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    return Signatures.load("signatures.npz")


@pytest.mark.slow
def test_every_way_to_the_same_prompts_records_the_same(run: Run, from_standard_input: Sequence[str]) -> None:
    piped = captured(run, *from_standard_input, *OPTIONS)
    assert piped.prompts.ids == ("stdin-01", "stdin-02", "stdin-03", "stdin-04")
    assert [*zip(piped.prompts.categories, piped.prompts.texts or (), strict=True)] == ROWS
    for write in (as_csv, as_parquet, as_data_set):
        found = captured(run, *write(), *OPTIONS)
        np.testing.assert_array_equal(found.counts, piped.counts)
        assert (found.prompts.categories, found.prompts.texts) == (piped.prompts.categories, piped.prompts.texts)
        if write is as_parquet:
            assert (found.prompts.ids, found.prompts.groups) == (("0", "1", "2", "3"), ("", "a", "b", "a"))


@pytest.mark.slow
def test_a_chat_is_recorded_as_the_text_that_its_template_makes(run: Run, tmp_path: Path) -> None:
    """The words of a chat are kept; a model without a template refuses it."""
    tokenizer = AutoTokenizer.from_pretrained(SCALE_MODEL)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant> {% endif %}"
    )
    for file in SCALE_MODEL.iterdir():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    tokenizer.save_pretrained(tmp_path / "model")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    Path("chat.jsonl").write_text(json.dumps({"messages": messages, "id": "x"}), encoding="utf-8")
    Path("text.jsonl").write_text(
        json.dumps({"text": "<system> Be brief.\n<user> Who?\n<assistant> ", "id": "x"}), encoding="utf-8"
    )
    chat = captured(run, "--prompts", "chat.jsonl", *OPTIONS, "--model", "model")
    assert chat.prompts.texts == ("Be brief.\n\nWho?",)
    assert chat.meta["chat_template"]
    text = captured(run, "--prompts", "text.jsonl", *OPTIONS, "--model", "model", "--raw")
    np.testing.assert_array_equal(chat.counts, text.counts)
    refused = run("capture", "--prompts", "chat.jsonl", *OPTIONS)
    assert refused.returncode == 1
    assert "prompt 'x' is a chat, and no chat template is applied" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--text-column", "question"), "no prompts were named"),
        (("--prompts", "p.csv", "--split", "test"), 'there is no data set to take the split "test" of'),
        (("--prompts", "p.csv", "--text-column", "answer"), 'p.csv has no "answer": it has "topic" and "question"'),
        (("--prompts", "p.csv"), 'p.csv has no "text", "prompt" or "messages": it has "topic" and "question"'),
    ],
)
def test_options_that_fit_no_input_are_refused(run: Run, arguments: Sequence[str], problem: str) -> None:
    as_csv()
    finished = run("capture", *arguments, *OPTIONS)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert problem in finished.stderr


def test_outputs_that_come_with_prompts_are_recorded_and_said_to_be(
    run: Run, tmp_path: Path, tiny_olmoe_folder: str
) -> None:
    rows = [{"text": "abc", "id": "p", "reply": "de"}, {"text": "f", "id": "q", "reply": "ghij"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    finished = run("capture", "--prompts", "a.jsonl", "--output-column", "reply", "--model", tiny_olmoe_folder,
                   "--device", "cpu")  # fmt: skip
    assert "recorded 2 prompts: 4 prompt tokens and 6 of their outputs" in finished.stdout
    found = Signatures.load(tmp_path / "signatures.npz")
    assert list(found.prompts.outputs or ()) == ["de", "ghij"]


def test_the_options_of_a_chat_template_are_json_or_text(run: Run, tmp_path: Path, tiny_olmoe_folder: str) -> None:
    folder = Path(shutil.copytree(tiny_olmoe_folder, tmp_path / "model"))
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if think is false %}{{ day }}{% endif %}"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    (tmp_path / "a.txt").write_text("abc\n", encoding="utf-8")
    command = ["capture", "--prompts", "a.txt", "--model", folder, "--device", "cpu", "--max-new-tokens", 0]
    finished = run(*command, "--system", "xy", "--template-option", "think=false", "--template-option", "day=z")
    assert "recorded 1 prompt: 6 prompt tokens" in finished.stdout
    meta = Signatures.load(tmp_path / "signatures.npz").meta
    assert (meta["system"], meta["template_options"]) == ("xy", {"think": False, "day": "z"})
    for options, message in {
        (
            "--template-option",
            "thin=false",
        ): "--template-option sets thin to False: this model's chat template reads no",
        ("--template-option", "think"): "--template-option is 'think': write NAME=VALUE",
        ("--chat-template", "rag"): "has no chat template --chat-template rag: it has one without a name",
        (
            "--raw",
            "--system",
            "x",
        ): "--system is given, but no chat template is applied: leave it out, or leave out --raw",
    }.items():
        finished = run(*command, *options)
        assert finished.returncode == 1
        assert message in finished.stderr
