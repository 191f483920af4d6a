"""`moexray experts` says what experts are for, on screen and for scripts."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]
COUNTS = "model,corpus,layer,expert,count\nm,x,3,0,30\nm,x,3,1,10\nm,y,3,0,5\nm,y,3,1,15\n"


@pytest.fixture
def captured(write_trace: Callable[..., Signatures], run: Run) -> Signatures:
    found = write_trace(Path("trace.parquet"), prompts=40)
    found.save("signatures.npz")
    return found


def described(run: Run, *options: object) -> dict[str, Any]:
    finished = run("experts", *options, "--json", "--permutations", 999)
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


def test_loads_and_shares_are_those_of_the_signatures(run: Run, captured: Signatures) -> None:
    found = described(run, "--phase", "prompt")
    inside = np.array([label == "kind 1" for label in captured.prompts.categories])
    for place, layer in enumerate(found["layers"]):
        load = captured.counts[:, 0, place].sum(axis=0)
        assert [one["load"] for one in layer["experts"]] == pytest.approx((load / load.sum()).tolist())
        assert sorted(layer["experts"], key=lambda one: one["rank"])[0]["load"] == pytest.approx(
            load.max() / load.sum()
        )
        shares = captured.counts[inside, 0, place].sum(axis=0) / captured.tokens[inside, 0].sum()
        assert [one["categories"]["kind 1"] for one in layer["experts"]] == pytest.approx(shares.tolist())


def test_an_expert_of_a_trace_has_tokens_partners_and_examples(run: Run, captured: Signatures) -> None:
    found = described(run, "--layer", 2, "--expert", 3, "--trace", "trace.parquet")
    (expert,) = found["layers"][0]["experts"]
    rows = [row for row in parquet.read_table("trace.parquet").to_pylist() if row["layer"] == 2]
    for token in expert["tokens"]:
        own = [row for row in rows if row["token_id"] == token["token_id"]]
        assert token["occurrences"] == len(own) >= 5
        assert token["share"] == pytest.approx(np.mean([3 in row["experts"] for row in own]))
    mine = [row for row in rows if 3 in row["experts"]]
    for partner in expert["partners"]:
        assert partner["share"] == pytest.approx(np.mean([partner["expert"] in row["experts"] for row in mine]))
        assert partner["odds_ratio"] > 1
    assert 1 <= len(expert["examples"]) <= 5
    assert all("[word" in example["text"] for example in expert["examples"])


def test_examples_are_of_the_tokens_that_an_expert_gets_most_surely(run: Run, captured: Signatures) -> None:
    (expert,) = described(run, "--layer", 2, "--expert", 3, "--trace", "trace.parquet")["layers"][0]["experts"]
    shown = [example["text"].split("[")[1].split("]")[0] for example in expert["examples"]]
    assert shown == [token["token"] for token in expert["tokens"][:5]]
    assert len({example["prompt"] for example in expert["examples"]}) == 5
    assert max(example["text"].count("word") for example in expert["examples"]) <= 13


def test_what_it_prints_names_category_token_partner_and_example(run: Run, captured: Signatures) -> None:
    printed = run("experts", "--layer", 2, "--expert", 3, "--trace", "trace.parquet", "--permutations", 99).stdout
    named = [line.split()[0] for line in printed.splitlines() if line.strip()]
    assert named[1:3] == ["load", "category"]
    assert {"token", "partner", "example"} <= set(named)
    assert "made-up" in run("experts", "--layer", 2, "--permutations", 99).stdout


def test_experts_of_a_table_of_counts(run: Run) -> None:
    Path("counts.csv").write_text(COUNTS, encoding="utf-8")
    (layer,) = described(run, "counts.csv")["layers"]
    assert [one["categories"] for one in layer["experts"]] == [{"x": 0.75, "y": 0.25}, {"x": 0.25, "y": 0.75}]
    assert layer["balance"] == pytest.approx(
        {"entropy": 0.98, "gini": 1 / 12, "cv": 1 / 6, "max_over_mean": 7 / 6, "dead_experts": 0}, abs=0.001
    )
    printed = " ".join(run("experts", "counts.csv").stdout.split())
    assert "Gini coefficient 0.083 coefficient of variation 0.17 busiest expert 1.17 times the mean" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--expert", 3], "--expert needs --layer"),
        (["--layer", 9], "no layer 9: there are 1, 2, 4"),
        (["--layer", 2, "--expert", 8], "no expert 8: layer 2 has experts 0 to 7"),
        (["--trace", "no.parquet"], "no.parquet is not there"),
    ],
)
def test_what_is_not_there_is_named(run: Run, captured: Signatures, options: list[object], said: str) -> None:
    finished = run("experts", *options)
    assert finished.returncode in {1, 2}
    assert said in finished.stderr


def test_a_table_of_several_models_asks_which(run: Run) -> None:
    Path("counts.csv").write_text(COUNTS + "n,x,3,0,1\n", encoding="utf-8")
    assert "name one with --model" in run("experts", "counts.csv").stderr
    assert described(run, "counts.csv", "--model", "n")["model"] == "n"
