"""Counts in a long table are read as they are, and refused by name where they do not add up."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.corpus_counts import is_counts_table, read_counts
from moexray.errors import CountsError

HEADER = "model,corpus,layer,expert,count\n"
ROWS = "m,x,0,0,3\nm,x,0,2,1\nm,x,7,1,4\nm,y,0,1,6\nm,y,7,0,6\nn,x,0,0,2\n"

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(rows: str) -> Path:
        path = tmp_path / "counts.csv"
        path.write_text(rows if rows.startswith("model") else HEADER + rows, encoding="utf-8")
        return path

    return write


def test_counts_are_read_by_model_corpus_layer_and_expert(written: Written) -> None:
    first, second = read_counts(written(ROWS))
    assert (first.model, first.corpora, first.layers) == ("m", ("x", "y"), (0, 7))
    assert first.counts.tolist() == [[[3, 0, 1], [0, 4, 0]], [[0, 6, 0], [6, 0, 0]]]
    assert first.selections.tolist() == [4, 6]
    assert second.counts.tolist() == [[[2]]]
    assert first.corpus("y").tolist() == [[0, 6, 0], [6, 0, 0]]


def test_columns_may_come_in_any_order_and_with_others(written: Written) -> None:
    (found,) = read_counts(written("model,note,count,expert,layer,corpus\nm,!,3,1,0,x\n"))
    assert found.counts.tolist() == [[[0, 3]]]


def test_a_parquet_file_holds_the_same(written: Written, tmp_path: Path) -> None:
    from_csv = read_counts(written(ROWS))
    path = tmp_path / "counts.parquet"
    columns = list(zip(*(line.split(",") for line in ROWS.split()), strict=True))
    values = [*columns[:2], *(np.array(column, dtype=np.int64) for column in columns[2:])]
    parquet.write_table(pa.table(dict(zip(HEADER.strip().split(","), values, strict=True))), path)
    for one, other in zip(read_counts(path), from_csv, strict=True):
        assert (one.model, one.corpora, one.layers) == (other.model, other.corpora, other.layers)
        assert np.array_equal(one.counts, other.counts)
    assert is_counts_table(path)
    assert is_counts_table(tmp_path / "counts.csv")
    assert not is_counts_table(tmp_path / "signatures.npz")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "holds no counts"),
        ("model,corpus,layer,expert\nm,x,0,0\n", "has no column 'count'"),
        ("m,x,0,0,3\nm,x,0,0,1\n", "m, x, layer 0, expert 0 occurs twice"),
        ("m,x,0,0,3\nm,x,7,0,4\n", "layer 7 adds up to 4 selections, layer 0 to 3"),
        ("m,x,0,0,3\nm,y,7,0,3\n", "adds up to 0 selections"),
        ("m,x,0,0,0\nm,x,0,1,0\n", "layer 0 adds up to 0 selections: give it some"),
        ("m,x,0,0,three\n", "line 2: layer, expert and count must be whole numbers, not 0, 0, three"),
        ("m,x,0,-1,3\n", "line 2: layer, expert and count must be zero or more"),
        ("m,,0,0,3\n", "line 2: model and corpus must be named"),
        ("m,x,0,0\n", "must be whole numbers"),
        ("m,x,0,0,3\nm ,y,0,0,3\n", "line 3: the model 'm ' looks like 'm', but is written otherwise: give both one"),
        ("OLMoE,x,0,0,3\nolmoe,x,0,0,3\n", "line 3: the model 'olmoe' looks like 'OLMoE'"),
        ("m,caf\u00e9,0,0,3\nm,cafe\u0301,0,0,3\n", r"line 3: the corpus 'cafe\\u0301' looks like 'caf\\xe9'"),
        ("m,x,0,0,3\nn,x\u200b,0,0,3\n", r"line 3: the corpus 'x\\u200b' looks like 'x'"),
        ("m,x,0,0,3\n\nm,x,0,1,3\n", "line 3 is empty: delete the line"),
        ("m,x,0,0,3\nm\0,x,0,1,3\n", "line 3 holds a NUL byte"),
        ('m,x,0,0,3\nm,x "y",0,1,3\n', "line 3 has a quote inside of a value without quotes"),
        ('m,x,0,0,3\nm,"x" y,0,1,3\n', "line 3 begins a row that is not CSV"),
        ("".join(f"m,x,0,{expert},{2**53}\n" for expert in range(2048)), "m has 1.84e[+]19 selections in a layer"),
    ],
)
def test_what_does_not_add_up_is_refused_by_name(written: Written, rows: str, said: str) -> None:
    with pytest.raises(CountsError, match=said):
        read_counts(written(rows))


@pytest.mark.parametrize("name", [b"m", 1.5, True, None, " "])
@pytest.mark.parametrize("column", ["model", "corpus"])
def test_names_that_are_no_texts_are_refused(tmp_path: Path, column: str, name: object) -> None:
    columns = {"model": ["m"], "corpus": ["x"], "layer": [0], "expert": [0], "count": [3], column: [name]}
    parquet.write_table(pa.table(columns), tmp_path / "c.parquet")
    with pytest.raises(CountsError, match=r"c\.parquet row 1: model and corpus must be named by texts, not "):
        read_counts(tmp_path / "c.parquet")


NUMBERS: dict[str, tuple[Any, bool]] = {
    "whole": ([3, 1], True),
    "whole floats": ([3.0, 1.0], True),
    "small integers": (np.array([3, 1], np.uint8), True),
    "decimals without a fraction": ([Decimal("3.0"), Decimal("1.0")], True),
    "fractions": ([3.75, 1.75], False),
    "shares": ([0.4, 1.2], False),
    "a fraction in one": ([3.0, 1.25], False),
    "infinite": ([3.0, float("inf")], False),
    "not a number": ([3.0, float("nan")], False),
    "missing": ([3, None], False),
    "truth values": ([True, True], False),
    "beyond what a float counts": ([3, 2**60], False),
    "negative": ([3, -1], False),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_both_formats_take_whole_numbers_and_nothing_else(tmp_path: Path, case: str) -> None:
    counts, taken = NUMBERS[case]
    columns = {"model": ["m"] * 2, "corpus": ["x"] * 2, "layer": [0, 0], "expert": [0, 1], "count": counts}
    parquet.write_table(pa.table(columns), tmp_path / "c.parquet")
    pd.DataFrame(columns).to_csv(tmp_path / "c.csv", index=False)
    for path in (tmp_path / "c.parquet", tmp_path / "c.csv"):
        if taken:
            assert read_counts(path)[0].counts.tolist() == [[[3, 1]]]
        else:
            with pytest.raises(CountsError, match=r"c\.(parquet row|csv line) [123]: "):
                read_counts(path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("m,x,0,0,99999999999999999999\n", "line 2: count is 99999999999999999999, more than"),
        ("m,x,0,999999999999,1\n", "line 2: expert is 999999999999, more than 32,767"),
        ("m,x,40000,0,1\n", "line 2: layer is 40000, more than"),
        ("m,x,0,0,1_000\n", "must be whole numbers"),
        ("m,x,0,0,٣\n", "must be whole numbers"),
        ("m,x,0,0,1e3\n", "must be whole numbers"),
        ("m,x,0,0,3,9\n", "line 2 has 6 values, but the header names 5"),
        ("m,x,0,0.5,3\n", "must be whole numbers, not 0, 0.5, 3"),
        ('m,x,0,0,"3\n', "line 2 begins a row that is not CSV"),
        ("model,corpus,layer,expert,count,count\nm,x,0,0,3,4\n", "has 2 columns called 'count'"),
        ("model,corpus,layer,expert,count,experts\nm,x,0,0,3,-2\n", "a layer cannot have -2 experts"),
        ("model,corpus,layer,expert,count,experts\nm,x,0,0,3,2.5\n", "must be whole numbers, not 0, 0, 3, 2.5"),
        ("model,corpus,layer,expert,count,experts\nm,x,0,0,3,8\nm,x,0,1,3,9\n", "line 3: .* rows disagree on how"),
        ("".join(f"m,{c},{n},32767,1\n" for c in range(50) for n in range(50)), "are not read at once"),
        ("version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
    ],
)
def test_numbers_that_no_model_has_are_refused_before_memory_is_taken(written: Written, rows: str, said: str) -> None:
    path = written(rows)
    if rows.startswith("version"):
        path.write_text(rows)
    with pytest.raises(CountsError, match=said):
        read_counts(path)


def test_a_parquet_file_that_cannot_be_read_is_refused_when_its_kind_is_asked(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"nothing")
    for path in (tmp_path / "c.parquet", tmp_path / "no.parquet"):
        with pytest.raises(CountsError):
            is_counts_table(path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    for name, said in (("no.csv", "could not be read"), ("bad.parquet", "not a Parquet file"), ("bad.csv", "UTF-8")):
        with pytest.raises(CountsError, match=said):
            read_counts(tmp_path / name)
    with pytest.raises(CountsError, match="neither"):
        read_counts(tmp_path / "counts.txt")


def test_an_unknown_corpus_is_named(written: Written) -> None:
    with pytest.raises(CountsError, match="no corpus 'z': there are x, y"):
        read_counts(written(ROWS))[0].corpus("z")


WIDTHS = "model,corpus,layer,expert,count"


def pruned(path: Path, header: str = WIDTHS, end: str = "") -> Path:
    """Write two layers of a model: one of four experts, one of two, the second of which was never selected."""
    rows = [("m", "c", 0, expert, 5) for expert in range(4)] + [("m", "c", 1, 0, 20), ("m", "c", 1, 1, 0)]
    path.write_text("\n".join([header, *(",".join(map(str, row)) + end for row in rows)]) + "\n")
    return path


def test_layers_have_as_many_experts_as_their_rows_reach_to(tmp_path: Path) -> None:
    (found,) = read_counts(pruned(tmp_path / "counts.csv"))
    assert found.experts == (4, 2)
    assert found.counts.tolist() == [[[5, 5, 5, 5], [20, 0, 0, 0]]]


def test_a_column_says_how_many_experts_a_layer_has(tmp_path: Path) -> None:
    (found,) = read_counts(pruned(tmp_path / "counts.csv", f"{WIDTHS},experts", ",6"))
    assert found.experts == (6, 6)
    with pytest.raises(CountsError, match="expert 3 is not one of the layer's 3 experts"):
        read_counts(pruned(tmp_path / "counts.csv", f"{WIDTHS},experts", ",3"))
