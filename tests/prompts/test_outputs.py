"""Outputs are read beside their prompts from every format: a text, or the ids of its tokens."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.errors import PromptsError
from moexray.prompts import read_prompts

TEXTS = ['Because of\nscattering, "Rayleigh\'s".', " leading", "ß → 日本"]
CHAT = [{"role": "user", "content": "Why?"}]


def write_json(path: Path, outputs: Sequence[Any], **names: str) -> None:
    rows = [{"text": f"prompt {i}", names.get("output", "output"): output} for i, output in enumerate(outputs)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def write_csv(path: Path, outputs: Sequence[Any], **names: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", names.get("output", "output")])
        writer.writerows([f"prompt {i}", output] for i, output in enumerate(outputs))


def write_parquet(path: Path, outputs: Sequence[Any], **names: str) -> None:
    texts = [f"prompt {i}" for i in range(len(outputs))]
    parquet.write_table(pa.table({"text": texts, names.get("output", "output"): list(outputs)}), path)


Write = Callable[..., None]
FORMATS = pytest.mark.parametrize(
    ("suffix", "write"), [(".jsonl", write_json), (".csv", write_csv), (".parquet", write_parquet)]
)


@FORMATS
def test_outputs_are_read_as_they_were_written(tmp_path: Path, suffix: str, write: Write) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, TEXTS)
    assert [prompt.output for prompt in read_prompts(path)] == TEXTS
    write(path, TEXTS, output="answer")
    assert [prompt.output for prompt in read_prompts(path, output_column="answer")] == TEXTS
    with pytest.raises(PromptsError, match='has no "reply"'):
        read_prompts(path, output_column="reply")


@pytest.mark.parametrize(("suffix", "write"), [(".jsonl", write_json), (".parquet", write_parquet)])
def test_an_output_may_be_token_ids_or_empty_or_missing(tmp_path: Path, suffix: str, write: Write) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, [[5, 17, 2], [], None])
    assert [prompt.output for prompt in read_prompts(path)] == [(5, 17, 2), (), None]
    write(path, ["a", "", None])
    assert [prompt.output for prompt in read_prompts(path)] == ["a", "", None]
    write(path, [None, None])
    assert [prompt.output for prompt in read_prompts(path)] == [None, None]


def test_an_empty_value_of_a_csv_file_is_no_output(tmp_path: Path) -> None:
    """The format has nothing else to say that there is none."""
    write_csv(tmp_path / "a.csv", ["a", ""])
    assert [prompt.output for prompt in read_prompts(tmp_path / "a.csv")] == ["a", None]


def test_chats_have_outputs_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": CHAT, "output": "So."}), encoding="utf-8")
    parquet.write_table(pa.table({"messages": [CHAT], "output": ["So."]}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        (prompt,) = read_prompts(tmp_path / name)
        assert (prompt.messages, prompt.output) == (tuple(CHAT), "So.")


@pytest.mark.parametrize("output", [3, True, 2.5, {"text": "a"}, [1.0], ["a"], [1, None], [True], [-1], [[1]]])
def test_what_is_no_output_is_refused_with_its_place(tmp_path: Path, output: Any) -> None:
    write_json(tmp_path / "a.jsonl", ["fine", output])
    with pytest.raises(PromptsError, match=r'a\.jsonl line 2: "output" is .*must be a text, or a list of token ids'):
        read_prompts(tmp_path / "a.jsonl")


def test_half_a_character_in_an_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "output": "\\ud800"}', encoding="utf-8")
    with pytest.raises(PromptsError, match='line 1: "output" holds an unpaired surrogate'):
        read_prompts(tmp_path / "a.jsonl")


@pytest.mark.parametrize("values", [[1.5], [{"a": 1}], [[0.5]], [True]])
def test_a_column_of_another_type_is_refused(tmp_path: Path, values: list[Any]) -> None:
    write_parquet(tmp_path / "a.parquet", values)
    with pytest.raises(PromptsError, match=r'column "output" is of .*, not of texts, or of lists of token ids'):
        read_prompts(tmp_path / "a.parquet")
