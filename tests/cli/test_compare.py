"""`moexray compare` says what two routers do differently with the same prompts, and refuses others."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]
TRACES = ("--trace", "a.parquet", "--trace", "b.parquet")


@pytest.fixture
def first(write_trace: Callable[..., Signatures], run: Run) -> Signatures:
    found = write_trace(Path("a.parquet"))
    found.save("a.npz")
    Path("b.parquet").write_bytes(Path("a.parquet").read_bytes())
    found.save("b.npz")
    return found


def compared(run: Run, *options: object) -> dict[str, Any]:
    finished = run("compare", "a.npz", "b.npz", *options, "--json", "--permutations", 999)
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


def test_a_model_does_as_it_does(run: Run, first: Signatures) -> None:
    for layer in compared(run, *TRACES)["layers"]:
        assert layer["agreement"] == 1
        assert layer["jensen_shannon"] == pytest.approx(0, abs=1e-12)
        assert layer["p_value"] == 1
        assert layer["similarity"] == pytest.approx(1)
        assert layer["moved"] == []


def test_an_expert_that_was_exchanged_for_another_is_named(run: Run, first: Signatures) -> None:
    """In layer 2 alone experts 0 and 1 have changed places."""
    order = [1, 0, *range(2, 8)]
    counts = first.counts.copy()
    counts[:, :, 1] = counts[:, :, 1][..., order]
    first.replace(counts=counts).save("b.npz")
    rows = parquet.read_table("a.parquet").to_pylist()
    for row in rows:
        row["experts"] = [order[e] for e in row["experts"]] if row["layer"] == 2 else row["experts"]
    parquet.write_table(pa.Table.from_pylist(rows), "b.parquet")
    same, changed, other = compared(run, *TRACES)["layers"]
    assert same["agreement"] == other["agreement"] == 1
    alike = [len({order[e] for e in row["experts"]} & set(row["experts"])) / 2 for row in rows if row["layer"] == 2]
    assert changed["agreement"] == pytest.approx(np.mean(alike), abs=0.05)
    assert changed["p_value"] <= 0.01
    assert {one["expert"] for one in changed["moved"]} == {0, 1}
    shares = [one.vectors().reshape(24, 3, 8)[:, 1].mean(axis=0) for one in (first, first.replace(counts=counts))]
    found = {one["expert"]: one["difference"] for one in changed["moved"]}
    assert found == pytest.approx({expert: shares[1][expert] - shares[0][expert] for expert in (0, 1)})
    assert "0 (" in run("compare", "a.npz", "b.npz", "--permutations", 999).stdout


def test_other_prompts_are_refused_or_left_out_if_asked(run: Run, first: Signatures) -> None:
    first.take(range(4, 24)).save("b.npz")
    finished = run("compare", "a.npz", "b.npz")
    assert finished.returncode == 1
    assert "different prompts ('p0' is in one only): --common compares the 20 in both" in finished.stderr
    assert compared(run, "--common")["prompts"] == 20


def test_the_order_of_prompts_does_not_matter(run: Run, first: Signatures) -> None:
    first.take(range(23, -1, -1)).save("b.npz")
    assert all(layer["similarity"] == pytest.approx(1) for layer in compared(run)["layers"])


def test_other_layers_and_experts_are_refused(run: Run, first: Signatures) -> None:
    first.replace(layers=np.array([1, 2, 5], dtype=np.int16)).save("b.npz")
    assert "one has layers [1, 2, 4], the other [1, 2, 5]" in run("compare", "a.npz", "b.npz").stderr
    assert [layer["layer"] for layer in compared(run, "--common")["layers"]] == [1, 2]
    first.replace(counts=np.pad(first.counts, ((0, 0), (0, 0), (0, 0), (0, 1)))).save("b.npz")
    assert "8 experts in layer 1, the other 9" in run("compare", "a.npz", "b.npz", "--common").stderr


def test_another_tokenizer_is_refused(run: Run, first: Signatures) -> None:
    rows = parquet.read_table("a.parquet").to_pylist()
    parquet.write_table(
        pa.Table.from_pylist([{**row, "token": f"other{row['token_id']}"} for row in rows]), "b.parquet"
    )
    assert "their tokenizers differ" in run("compare", "a.npz", "b.npz", *TRACES).stderr
    for row in rows[:3]:
        row.update(token_id=99, token="word99")
    parquet.write_table(pa.Table.from_pylist(rows), "b.parquet")
    assert "'p0' is not the same tokens in both" in run("compare", "a.npz", "b.npz", *TRACES).stderr


def test_generated_tokens_are_compared_as_far_as_they_are_the_same(run: Run, first: Signatures) -> None:
    rows = parquet.read_table("a.parquet").to_pylist()
    last = max(row["position"] for row in rows if row["prompt"] == "p0")
    for row in rows:
        if row["prompt"] == "p0" and row["position"] == last - 1:
            row.update(token_id=99, token="word99")
    parquet.write_table(pa.Table.from_pylist(rows), "b.parquet")
    assert compared(run, *TRACES)["layers"][0]["tokens"] == first.tokens.sum() - 2


def test_tables_of_counts_are_compared_by_corpus(run: Run) -> None:
    rows = "model,corpus,layer,expert,count\nm,x,0,0,3\nm,x,0,1,1\nn,x,0,0,1\nn,x,0,1,3\nn,y,0,0,4\n"
    Path("counts.csv").write_text(rows, encoding="utf-8")
    finished = run("compare", "counts.csv", "counts.csv", "--model", "m", "--model", "n", "--json")
    (layer,) = json.loads(finished.stdout)["layers"]
    assert (layer["corpus"], layer["similarity"]) == ("x", pytest.approx(6 / 10))
    assert layer["jensen_shannon"] == pytest.approx(1 + (0.25 * np.log2(0.25) + 0.75 * np.log2(0.75)))
    assert "name both models" in run("compare", "counts.csv", "counts.csv").stderr
    assert "given 1 times" in run("compare", "counts.csv", "counts.csv", "--model", "m").stderr
