"""Traces of FLAME-MoE: a Parquet file a layer, with the experts and scores of each token."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.signatures import Signatures

from .conftest import Routed, Run, assert_refused, counted

FACTS = ("iter_500", "--from", "flame-moe", "--num-experts", 16)


def write(routed: Routed) -> None:
    Path("iter_500").mkdir()
    rows = np.concatenate(routed.experts)
    for place, layer in enumerate((2, 3, 4)):
        write_layer(rows[:, place].tolist(), layer)


def write_layer(indices: list[Any], layer: int, kind: Any = None) -> None:
    columns = {
        "scores": pa.array([[0.25] * 4 for _ in indices], pa.list_(pa.float16())),
        "indices": pa.array(indices, kind or pa.list_(pa.int16())),
    }
    parquet.write_table(pa.table(columns), f"iter_500/layer_{layer:02}.parquet", row_group_size=50)


def test_counts_are_those_of_all_tokens(run: Run, routed: Routed) -> None:
    write(routed)
    assert run("import", *FACTS).returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads("prompt")[0], counted(routed.experts, 16).sum(axis=0))
    assert (found.layers.tolist(), found.top_k.tolist()) == ([2, 3, 4], [4, 4, 4])
    assert list(found.meta["imported"]["sources"]) == ["layer_02.parquet", "layer_03.parquet", "layer_04.parquet"]
    assert "Traceback" not in run("analyze", "signatures.npz", "--permutations", 9).stderr


SPOILT: dict[str, tuple[list[Any], Any, str]] = {
    "fewer tokens": ([[0, 1, 2, 3]], None, "adds up to"),
    "zeros": ([[0, 0, 0, 0]], None, "one expert twice in layer 3"),
    "minus one": ([[0, 1, 2, -1]], None, "is sent to expert -1"),
    "too large": ([[0, 1, 2, 16]], None, "is sent to expert 16"),
    "another k": ([[0, 1, 2]], None, "sends tokens to 3 experts"),
    "a k that varies": ([[0, 1, 2, 3], [0, 1, 2]], None, "another number of experts"),
    "a row less": ([[0, 1, 2, 3], None], None, "another number of experts"),
    "a value less": ([[0, 1, 2, None]], None, "another number of experts"),
    "numbers": ([1, 2], pa.int16(), "lists of whole numbers"),
    "fractions": ([[0.5, 1, 2, 3]], pa.list_(pa.float32()), "lists of whole numbers"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    write(routed)
    indices, type_, message = SPOILT[kind]
    if type_ is None or not pa.types.is_integer(type_):
        write_layer(indices, 3, type_)
    else:
        parquet.write_table(pa.table({"indices": pa.array(indices, type_)}), "iter_500/layer_03.parquet")
    assert_refused(run, message, *FACTS)


def test_a_folder_of_something_else_is_refused(run: Run, routed: Routed) -> None:
    write(routed)
    assert_refused(run, "state it with --num-experts", *FACTS[:3])
    assert_refused(run, "no file layer_05.parquet", *FACTS, "--layers", "2-5")
    assert_refused(run, "says 4, not --top-k 6", *FACTS, "--top-k", 6)
    Path("empty").mkdir()
    assert_refused(run, "no file layer_NN.parquet", "empty", *FACTS[1:])
