"""`moexray cache` says what expert memory buys, draws it, and names what it cannot use."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .. import made

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def captured(run: Run) -> None:
    """Save signatures, and their trace beside them."""
    made.trace(Path("signatures.trace.parquet"), prompts=20).save("signatures.npz")


@pytest.mark.usefixtures("captured")
def test_tables_name_policies_predictors_and_layers(run: Run) -> None:
    finished = run("cache", "--shared", "--expert-bytes", 1_000_000)
    assert finished.returncode == 0, finished.stderr
    for said in ("pinned", "warm LRU", "SCH 16", "Belady", "chance", "token id", "one cache that all layers share",
                 "local routing consistency", "a hit rate of 90.0 % in every layer takes", "MB",
                 "each prompt starts with an empty cache"):  # fmt: skip
        assert said in " ".join(finished.stdout.split()), said


@pytest.mark.usefixtures("captured")
def test_json_holds_every_curve(run: Run) -> None:
    document = json.loads(run("cache", "--capacity", "4,2", "--hit-rate", 0.5, "--json").stdout)
    assert [one["layer"] for one in document["layers"]] == [1, 2, 4]
    layer = document["layers"][0]
    assert layer["capacities"] == [2, 4]
    policies = {"previous", "pinned", "static", "lru", "lru_continued", "lfu", "sch_16", "belady", "chance"}
    assert set(layer["hit_rate"]) == set(layer["misses"]) == policies
    assert set(layer["ci"]) == policies - {"chance"}
    assert "bytes" not in layer
    assert "shared" not in document
    assert {"m", "value", "ci", "uniform"} <= set(document["srp"][0])
    assert document["wanted"] == 0.5
    assert {one["policy"] for one in document["capacity_for"]} == policies - {"previous", "chance"}


@pytest.mark.usefixtures("captured")
def test_the_figure_is_written(run: Run) -> None:
    finished = run("cache", "--figure", "cache.svg")
    assert "wrote cache.svg" in finished.stderr
    assert "warm LRU" in Path("cache.svg").read_text(encoding="utf-8")


@pytest.mark.usefixtures("captured")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--capacity", "9"), "--capacity holds 9, and layer 1 has 8 experts"),
        (("--capacity", "0"), "--capacity holds 0"),
        (("--capacity", "-4"), "--capacity is '-4': write whole numbers"),
        (("--capacity", "2,x"), "--capacity is '2,x': write whole numbers"),
        (("--hit-rate", "90"), "--hit-rate is 90: a wanted hit rate is above 0 and below 1"),
        (("--tokens", "image"), "no tokens are called 'image'"),
        (("--trace", "no.parquet"), "no.parquet is not there"),
        (("--figure", "."), ". is a directory"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(run: Run, options: tuple[str, ...], said: str) -> None:
    finished = run("cache", *options)
    assert finished.returncode in (1, 2)
    assert said in " ".join(finished.stderr.split())


def test_a_missing_trace_says_how_to_get_one(run: Run) -> None:
    made.signatures().save("signatures.npz")
    finished = run("cache")
    assert finished.returncode == 1
    assert "moexray capture --record trace" in finished.stderr


def test_the_trace_of_another_capture_is_refused(run: Run) -> None:
    made.trace(Path("signatures.trace.parquet"), prompts=20)
    made.trace(Path("other.parquet"), prompts=20, seed=5).save("signatures.npz")
    finished = run("cache")
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: signatures.trace.parquet")
