"""`moexray check` says whether a recording is true, by its exit status too."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pytest
from pyarrow import parquet

from ..shown import example_files

Run = Callable[..., CompletedProcess[str]]


def damage(rows: slice) -> None:
    """Leave some rows of the trace unwritten."""
    path = Path("signatures.trace.parquet")
    table = parquet.read_table(path)
    columns = table.to_pydict()
    columns["experts"][rows] = [[0] * 8] * len(columns["experts"][rows])
    parquet.write_table(pa.table(columns, schema=table.schema), path)


@pytest.mark.slow
def test_the_recorded_example_is_true(run: Run) -> None:
    example_files(Path(), every=10)
    finished = run("check", "-n", 1, "--json")
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["verdict"] == "true"
    assert document["comparison"]["different"] == 0


def test_without_a_model_a_whole_file_passes(run: Run) -> None:
    example_files(Path(), every=10)
    finished = run("check", "--no-model")
    assert finished.returncode == 0
    assert "whole: rows are those of a router" in finished.stdout
    assert "86" not in finished.stderr


def test_rows_that_were_never_written_fail(run: Run) -> None:
    example_files(Path(), every=10)
    damage(slice(0, 32))
    finished = run("check", "--no-model")
    assert finished.returncode == 1
    assert "not whole" in finished.stdout
    assert "never written" in finished.stdout
    assert "error:" not in finished.stderr
    failed = run("check", "--no-model", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["integrity"]["faults"][0]["kind"] == "unwritten"


def test_hostile_names_do_not_reach_the_terminal(run: Run) -> None:
    example_files(Path(), every=40)
    path = Path("signatures.trace.parquet")
    table = parquet.read_table(path)
    columns = table.to_pydict()
    columns["phase"][0] = "\x1b[31mlater"
    parquet.write_table(pa.table(columns, schema=table.schema), path)
    finished = run("check", "--no-model")
    assert finished.returncode == 1
    assert "\x1b" not in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.npz"], "nothing.npz is not there"),
        (["--url", "http://127.0.0.1"], "--url is of a live engine"),
        (["--max-new-tokens", "3"], "--max-new-tokens is of a live engine"),
        (["--engine", "transformers"], "--engine needs --model"),
        (["--engine", "transformers", "--no-model"], "--no-model is of a file"),
        (["--no-model", "--dtype", "float32"], "--no-model loads none"),
        (["--engine", "nothing", "--model", "scale"], "no engine 'nothing'"),
        (["--number", "0"], "greater than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(run: Run, arguments: list[str], said: str) -> None:
    finished = run("check", *arguments)
    assert finished.returncode in (1, 2)
    assert said in " ".join(finished.stderr.split())
