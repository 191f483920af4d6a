"""A trace gives back every token, and one that does not go with its signatures is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray import trace_file
from moexray.errors import TraceError
from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.trace import Trace

Write = Callable[..., Signatures]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    table = parquet.read_table(path)
    columns = table.to_pydict()
    change(columns)
    parquet.write_table(pa.table(columns), path)


def test_tokens_are_those_that_were_written(write_trace: Write, path: Path) -> None:
    trace = Trace.open(path, write_trace(path))
    assert parquet.ParquetFile(path).num_row_groups > 2
    blocks = list(trace.blocks())
    assert len(blocks) == parquet.ParquetFile(path).num_row_groups
    rows = parquet.read_table(path).to_pylist()
    places = {"p0": 0, "p1": 1}
    tokens = [(block, i) for block in blocks for i in range(len(block))]
    assert len(tokens) == len(rows) // 3
    for number, (block, i) in enumerate(tokens):
        row = rows[3 * number]
        assert block.positions[i] == row["position"]
        assert block.token_ids[i] == row["token_id"]
        assert block.generated[i] == (row["phase"] == "generated")
        assert block.experts[i].tolist() == [rows[3 * number + layer]["experts"] for layer in range(3)]
        assert places.get(row["prompt"], block.prompts[i]) == block.prompts[i]
    assert trace.texts() == {row["token_id"]: row["token"] for row in rows}


def by_pyarrow(path: Path, **options: Any) -> None:
    parquet.write_table(parquet.read_table(path), path, **options)


def by_pandas(path: Path) -> None:
    pd.read_parquet(path).to_parquet(path, row_group_size=50)


def by_polars(path: Path) -> None:
    polars = pytest.importorskip("polars")
    polars.read_parquet(path).write_parquet(path, row_group_size=64)


def as_plain_texts_and_long_numbers(path: Path) -> None:
    table = pa.table(parquet.read_table(path).to_pydict())
    parquet.write_table(table, path, row_group_size=97, use_dictionary=False, store_schema=False, compression="none")


REWRITTEN: dict[str, Callable[[Path], None]] = {
    "one row group": by_pyarrow,
    "row groups that end inside of tokens": lambda path: by_pyarrow(path, row_group_size=7),
    "row groups that end inside of prompts": lambda path: by_pyarrow(path, row_group_size=3 * 11),
    "data pages of version 2": lambda path: by_pyarrow(path, data_page_version="2.0", data_page_size=300),
    "no dictionaries": lambda path: by_pyarrow(path, use_dictionary=False, row_group_size=500),
    "pandas": by_pandas,
    "polars": by_polars,
    "plain texts and long numbers": as_plain_texts_and_long_numbers,
}


@pytest.mark.parametrize("writer", REWRITTEN)
def test_a_trace_that_others_wrote_again_holds_the_same_tokens(write_trace: Write, path: Path, writer: str) -> None:
    trace = Trace.open(path, write_trace(path))
    blocks, texts = RoutedTokens.joined(list(trace.blocks())), trace.texts()
    REWRITTEN[writer](path)
    again = RoutedTokens.joined(list(trace.blocks()))
    for name in ("prompts", "positions", "token_ids", "segments", "experts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(blocks, name))
    assert trace.texts() == texts


def test_a_row_group_larger_than_moexrays_own_is_read_in_parts(
    write_trace: Write, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace.open(path, write_trace(path))
    blocks = RoutedTokens.joined(list(trace.blocks()))
    by_pyarrow(path)
    monkeypatch.setattr(trace_file, "_MOST_ROWS", 100)
    parts = list(trace.blocks())
    assert len(parts) > 10
    assert max(map(len, parts)) <= 100
    np.testing.assert_array_equal(RoutedTokens.joined(parts).experts, blocks.experts)


def test_some_prompts_are_numbered_anew(write_trace: Write, path: Path) -> None:
    signatures = write_trace(path)
    found = Trace.open(path, signatures).tokens(np.array([5, 2]), "prompt")
    assert np.bincount(found.prompts).tolist() == signatures.tokens[[5, 2], 0].tolist()
    assert not found.generated.any()


def test_a_router_that_used_fewer_than_k_leaves_places_empty(write_trace: Write, path: Path) -> None:
    signatures = write_trace(path)
    counts = signatures.counts.copy()

    def drop(columns: dict[str, Any]) -> None:
        counts[0, 0, 0, columns["experts"][0].pop()] -= 1

    rewritten(path, drop)
    dropping = signatures.replace(counts=counts, meta={"router_may_drop": True})
    assert next(iter(Trace.open(path, dropping).blocks())).experts[0, 0, 1] == -1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: [c[name].reverse() for name in c], "do not go through layers"),
        (lambda c: c["layer"].__setitem__(0, 9), "another model"),
        (lambda c: c["token_id"].__setitem__(0, 99), "layers of one token are not in rows that follow"),
        (lambda c: [c["position"].__setitem__(i, 7) for i in range(3)], "'p0' are out of order: position 7 stands"),
        (lambda c: c["prompt"].__setitem__(slice(0, 3), ["q"] * 3), "holds prompt 'q', which the signatures do not"),
        (lambda c: [c[name].__delitem__(slice(0, 3)) for name in c], "'p0' are out of order: position 1 stands"),
        (
            lambda c: [c[name].__delitem__(slice(len(c[name]) - 3, None)) for name in c],
            "has 3 generated tokens, its signature",
        ),
        (lambda c: c["experts"].__setitem__(0, [6, 7]), "'p0' do not add up"),
        (lambda c: c["experts"].__setitem__(0, [1, 8]), "not among 8"),
        (lambda c: c["experts"].__setitem__(0, [1, 2, 3]), "more than 2 experts"),
        (lambda c: c["experts"].__setitem__(0, None), "without experts"),
        (lambda c: c["experts"].__setitem__(0, [1, None]), "has a row without one of its experts"),
        (lambda c: c.__setitem__("experts", ["1"] * len(c["layer"])), "has string in the column 'experts'"),
        (lambda c: c.__setitem__("position", ["x"] * len(c["layer"])), "has string in the column 'position'"),
        (lambda c: c["phase"].__setitem__(0, "other"), "holds tokens that are other/text"),
        (lambda c: c.__delitem__("layer"), "no column 'layer'"),
    ],
)
def test_a_trace_that_does_not_go_with_its_signatures_is_refused(
    write_trace: Write, path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    signatures = write_trace(path)
    rewritten(path, change)
    with pytest.raises(TraceError, match=said):
        list(Trace.open(path, signatures).blocks())


def test_missing_and_scattered_prompts_are_named(write_trace: Write, path: Path) -> None:
    signatures = write_trace(path)
    table = parquet.read_table(path)
    without = table.filter(pa.compute.not_equal(table["prompt"].cast(pa.string()), "p3"))
    parquet.write_table(without, path)
    with pytest.raises(TraceError, match="no row of prompt 'p3'"):
        list(Trace.open(path, signatures).blocks())
    with parquet.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.write_table(table.slice(0, int(signatures.tokens[0].sum()) * 3))
    with pytest.raises(TraceError, match="rows of prompt 'p0' are not together"):
        list(Trace.open(path, signatures).blocks())


def test_files_that_are_no_traces_are_refused(write_trace: Write, path: Path) -> None:
    signatures = write_trace(path)
    with pytest.raises(TraceError, match="is not there"):
        Trace.open(path.with_name("other.parquet"), signatures)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TraceError, match="not a Parquet file, or not a whole one"):
        Trace.open(path, signatures)


def test_a_token_of_two_texts_is_of_two_tokenizers(write_trace: Write, path: Path) -> None:
    signatures = write_trace(path)
    rewritten(path, lambda columns: columns["token"].__setitem__(slice(0, 3), ["other"] * 3))
    with pytest.raises(TraceError, match="two tokenizers"):
        Trace.open(path, signatures).texts()
