"""Parquet files are read by column, with the types that others write."""

import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.errors import MissingExtra, PromptsError
from moexray.prompts import Prompt, read_prompts
from moexray.prompts.arrow import prompts_of
from moexray.prompts.rows import Source

Write = Callable[[str, str | bytes], Path]
SMALL_TYPES: list[Any] = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]


def written(path: Path, columns: dict[str, Any]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_columns_are_found_or_named_and_others_are_left(tmp_path: Path) -> None:
    columns = {"prompt": ["x", "y"], "label": ["a", "b"], "id": [7, 8], "group": ["g", None], "score": [0.5, 1.5]}
    file = written(tmp_path / "p.parquet", columns)
    assert read_prompts(file) == [Prompt("x", "a", "7", "g"), Prompt("y", "b", "8")]
    same = read_prompts(file, category_column="prompt", text_column="prompt")
    assert [(prompt.text, prompt.category) for prompt in same] == [("x", "x"), ("y", "y")]
    named = read_prompts(file, text_column="label", id_column="prompt")
    assert named == [Prompt("a", "p", "x", "g"), Prompt("b", "p", "y")]


@pytest.mark.parametrize("type_", SMALL_TYPES, ids=str)
def test_texts_are_read_however_they_are_stored(tmp_path: Path, type_: Any) -> None:
    file = written(
        tmp_path / "p.parquet", {"text": pa.array(["x", "y"], type_), "category": pa.array(["a"] * 2, type_)}
    )
    assert read_prompts(file) == [Prompt("x", "a", "p-01"), Prompt("y", "a", "p-02")]


def test_categories_may_be_whole_numbers_and_truth_values(tmp_path: Path) -> None:
    text = ["x", "y"]
    numbers = written(tmp_path / "n.parquet", {"text": text, "label": pa.array([3, -1], pa.int8())})
    truth = written(tmp_path / "t.parquet", {"text": text, "label": [True, False]})
    assert [prompt.category for prompt in read_prompts(numbers, truth)] == ["3", "-1", "true", "false"]


def test_chats_are_read_and_what_a_table_fills_in_is_left_out(tmp_path: Path) -> None:
    chats = [[{"role": "user", "content": "x"}], [{"role": "user", "content": "y", "name": "Ada"}]]
    found = read_prompts(written(tmp_path / "p.parquet", {"messages": chats}))
    assert [list(prompt.messages or ()) for prompt in found] == chats
    found = read_prompts(written(tmp_path / "q.parquet", {"talk": chats}), text_column="talk")
    assert [prompt.text for prompt in found] == ["x", "y"]


def test_rows_are_counted_through_batches_and_row_groups(tmp_path: Path) -> None:
    texts: list[str | None] = [f"prompt {i}" for i in range(5000)]
    table = pa.table({"text": texts})
    parquet.write_table(table, tmp_path / "p.parquet", row_group_size=700)
    found = read_prompts(tmp_path / "p.parquet")
    assert [prompt.text for prompt in found] == texts
    assert found[-1].id == "p-5000"
    texts[4321] = None
    with pytest.raises(PromptsError, match=r'p\.parquet row 4322: "text" is None'):
        read_prompts(written(tmp_path / "p.parquet", {"text": texts}))


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"texts": ["x"]}, r'p\.parquet has no "text", "prompt" or "messages": it has "texts"; name the column'),
        ({"text": ["x"], "prompt": ["y"]}, r'has "text" and "prompt": which holds the text'),
        ({"text": [7]}, r'column "text" is of int64, not of texts, or of chats .*: name another with --text-column'),
        ({"text": [b"x"]}, r'column "text" is of binary'),
        ({"text": [["x"]]}, r'column "text" is of list<'),
        ({"text": ["x"], "label": [0.5]}, r'"label" is of double, not of texts or integers: .* are text, label'),
        ({"text": ["x"], "label": [["y"]]}, r'column "label" is of list<'),
        ({"text": pa.array([], pa.string())}, r"p\.parquet is empty: there must be a prompt on each row"),
        ({"text": ["x", " "]}, r'row 2: "text" is \' \''),
        ({"text": ["x"], "label": pa.array([None], pa.string())}, r'row 1: "label" is None'),
        ({"text": ["x"], "id": pa.array([None], pa.int64())}, r'row 1: "id" is None'),
        ({"text": ["x", "y"], "id": [1, 1]}, r"row 2: the id '1' is already taken by .*row 1"),
        ({"messages": ['[{"role": "user"}]']}, r'row 1: "messages" is .*: it must be a list of objects'),
        ({"messages": [[{"from": "human", "value": "x"}]]}, r'row 1, message 1 has no "role"'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, columns: dict[str, Any], problem: str) -> None:
    with pytest.raises(PromptsError, match=problem):
        read_prompts(written(tmp_path / "p.parquet", columns))


@pytest.mark.parametrize("column", ["text", None])
def test_two_columns_of_one_name_are_refused_though_it_was_asked_for(tmp_path: Path, column: str | None) -> None:
    table = pa.table([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(PromptsError, match=r'p\.parquet has 2 columns called "text": which holds the text\? Rename'):
        read_prompts(tmp_path / "p.parquet", text_column=column)


INVALID_NAMES: tuple[Any, ...] = (7, {}, [1, 2], "ab")
DESCRIPTIONS = (
    b"no JSON",
    b"[1]",
    b'"text"',
    b"\xff",
    b'{"info": []}',
    b'{"info": {"features": [1]}}',
    *(json.dumps({"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}).encode()
      for names in INVALID_NAMES),
)  # fmt: skip


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a_damaged_description_of_classes_is_refused_since_numbers_would_be_categories(
    tmp_path: Path, description: bytes
) -> None:
    table = pa.table({"text": ["x", "y"], "label": [0, 1]}).replace_schema_metadata({b"huggingface": description})
    parquet.write_table(table, tmp_path / "p.parquet")
    if description == b'{"info": []}':  # empty, as what describes nothing
        assert len(read_prompts(tmp_path / "p.parquet")) == 2
        return
    with pytest.raises(PromptsError, match=r"p\.parquet: the (description|classes) of"):
        read_prompts(tmp_path / "p.parquet")


def test_a_text_that_many_rows_share_is_in_memory_once(tmp_path: Path) -> None:
    """Five thousand rows of a text of 64 kB are a file of kilobytes, and would be 320 MB."""
    texts = pa.DictionaryArray.from_arrays(np.zeros(5000, np.int32), pa.array(["x" * 2**16]))
    with parquet.ParquetWriter(tmp_path / "p.parquet", pa.schema({"text": texts.type}), store_schema=False) as writer:
        writer.write_table(pa.table({"text": texts}))
    tracemalloc.start()
    try:
        before = pa.total_allocated_bytes()
        found = read_prompts(tmp_path / "p.parquet")
        assert len({id(prompt.text) for prompt in found}) < 20
        assert tracemalloc.get_traced_memory()[1] < 10e6
        assert pa.total_allocated_bytes() - before < 10e6
    finally:
        tracemalloc.stop()


def test_a_file_that_unpacks_to_fill_memory_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moexray.parquet_file._MOST_UNPACKED", 2**20)
    texts = pa.array(["x" * 2**20, "y"])
    parquet.write_table(pa.table({"text": texts}), tmp_path / "p.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(PromptsError, match=r"p\.parquet unpacks to [0-9,]+ bytes"):
        read_prompts(tmp_path / "p.parquet")


def test_bytes_that_are_no_text_are_refused_with_their_row(tmp_path: Path) -> None:
    """Arrow takes a column's word for it that it holds UTF-8."""
    texts = pa.array([b"x", None, b"caf\xe9"], pa.binary()).view(pa.string())
    table = {"text": ["a", "b", "c"], "label": texts}
    with pytest.raises(PromptsError, match=r"row 3 is not UTF-8"):
        read_prompts(written(tmp_path / "p.parquet", table))


def test_a_place_in_a_dictionary_that_there_is_not_is_refused() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 4], pa.int32()), pa.array(["x"]), safe=False)
    batch = pa.record_batch({"text": texts})
    with pytest.raises(PromptsError, match=r"^p\.parquet is damaged at or after row 1 \(Index 4 out of bounds\)$"):
        list(prompts_of(Source("p.parquet", "p", "row"), batch.schema, [batch], {"text": "text"}))


def test_files_that_are_no_parquet_or_are_cut_short_are_refused(tmp_path: Path, write: Write) -> None:
    whole = written(tmp_path / "p.parquet", {"text": ["x" * 1000, "y"]}).read_bytes()
    for content in (b"", b"text\nx\n", whole[:-20], whole[20:], b"PAR1" + b"\0" * 100 + whole[-300:]):
        with pytest.raises(PromptsError, match=r"p\.parquet "):
            read_prompts(write("p.parquet", content))


def test_without_pyarrow_the_error_gives_the_pip_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "p.parquet", {"text": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"reading .*p\.parquet needs pyarrow: pip install 'moexray\[parquet\]'"):
        read_prompts(file)
