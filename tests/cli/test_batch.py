"""`moexray batch` prints what a step reads, and says in one sentence what it cannot read."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ..shown import example_files

Run = Callable[..., CompletedProcess[str]]


def test_it_finds_the_trace_beside_the_signatures(run: Run) -> None:
    example_files(Path())
    finished = run("batch", "--sizes", "1,16", "--expert-bytes", 1000)
    assert finished.returncode == 0, finished.stderr
    assert "scale, 80 prompts" in finished.stdout
    assert "47.4" in finished.stdout
    assert "758 kB" in finished.stdout


def test_json_has_a_layer_for_each_layer(run: Run) -> None:
    example_files(Path())
    document = json.loads(run("batch", "--sizes", "16,8", "--json").stdout)
    assert len(document["layers"]) == 16
    assert {"layer", "sizes", "observed", "observed_ci", "load_matched", "uniform"} <= document["layers"][0].keys()
    assert document["layers"][0]["sizes"] == [8, 16]
    assert document["prefill"]["layers"][3]["layer"] == 3
    assert document["bytes"] is None


def test_it_draws_a_figure(run: Run) -> None:
    example_files(Path())
    finished = run("batch", "--sizes", "1,8", "--figure", "batch.svg")
    assert "wrote batch.svg" in finished.stderr
    assert Path("batch.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sizes", "8,x"), "--sizes is '8,x': write whole numbers with commas"),
        (("--sizes", "-4"), "--sizes is '-4'"),
        (("--sizes", "0"), "--sizes holds 0: a batch has from 1"),
        (("--expert-bytes", 0), "--expert-bytes is 0"),
        (("--tokens", "image"), "no tokens are called 'image'"),
        (("--group-size", 1), "--group-size is 1"),
        (("--policy", "oea:k0=9"), "--policy is 'oea:k0=9': a token keeps from 1 to 8 experts"),
        (("--policy", "oea:k0=3"), "has no router scores: `moexray capture --record scores`"),
        (("--figure", "no/batch.png"), "no is not a folder"),
        (("--trace", "none.parquet"), "none.parquet is not there"),
    ],
)
def test_what_cannot_be_counted_is_one_sentence(run: Run, options: tuple[object, ...], said: str) -> None:
    example_files(Path())
    finished = run("batch", *options)
    assert finished.returncode in {1, 2}
    assert said in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_signatures_without_a_trace_say_how_to_record_one(run: Run) -> None:
    example_files(Path())
    Path("signatures.trace.parquet").unlink()
    finished = run("batch")
    assert finished.returncode == 1
    assert "no trace signatures.trace.parquet beside signatures.npz" in finished.stderr
    assert "moexray capture --record trace" in finished.stderr


def test_a_trace_of_other_signatures_is_refused(run: Run) -> None:
    from .. import made

    example_files(Path())
    made.trace(Path("other.parquet"))
    finished = run("batch", "--trace", "other.parquet")
    assert finished.returncode == 1
    assert "other.parquet" in finished.stderr
