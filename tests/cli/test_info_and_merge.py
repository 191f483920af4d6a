"""`moexray info` says what a file holds; `moexray merge` joins captures of different prompts."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np

from moexray.shards import Part, Shard
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze

Run = Callable[..., CompletedProcess[str]]


def test_info_tells_prompts_layers_tokens_and_how_they_were_made(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    made_up().save(tmp_path / "signatures.npz")
    found = json.loads(run("info", "signatures.npz", "--json").stdout)
    assert found["categories"] == {"kind 0": 12, "kind 1": 12}
    assert (found["layers"], found["experts"], found["top_k"]) == ([1, 2, 4], 8, [2])
    assert (found["prompt tokens"], found["generated tokens"]) == (480, 0)
    assert (found["prompts without generated tokens"], found["model"]) == (24, "made-up")
    told = run("info", "signatures.npz").stdout
    assert "kind 0 12, kind 1 12" in told
    assert "1, 2, 4" in told


def test_info_reads_an_analysis_too(run: Run, made_up: Callable[..., Signatures], tmp_path: Path) -> None:
    analyze(made_up(), permutations=9).save(tmp_path / "analysis.json")
    found = json.loads(run("info", "analysis.json", "--json").stdout)
    assert (found["kind"], found["prompts"], found["permutations"]) == ("analysis", 24, 9)


def test_merge_joins_the_prompts_in_the_order_of_the_files(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    first, second = made_up(4, seed=1), made_up(6, seed=2)
    first.save(tmp_path / "first.npz")
    second.save(tmp_path / "second.npz")
    finished = run("merge", "first.npz", "second.npz", "--out", "both.npz")
    assert (finished.returncode, finished.stderr) == (0, "next: moexray analyze both.npz\n")
    assert "recorded 10 prompts: 200 prompt tokens and 0 generated ones" in finished.stdout
    both = Signatures.load(tmp_path / "both.npz")
    assert both.prompts.ids == (*first.prompts.ids, *second.prompts.ids)
    np.testing.assert_array_equal(both.counts, np.concatenate([first.counts, second.counts]))


def of_shard(signatures: Signatures, index: int, number: int, prompts: int) -> Signatures:
    part = Part(Shard(index, number), prompts, "the whole")
    return signatures.replace(meta={"model": "made-up", "created": "2026-03-11", "shard": part.meta})


def test_info_and_analyze_say_which_shard_a_file_is(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    of_shard(made_up(), 1, 2, 48).save(tmp_path / "shard.npz")
    told = " ".join(run("info", "shard.npz").stdout.split())
    assert "part shard 1 of 2 (counted from 0), 24 of 48 prompts" in told
    assert json.loads(run("info", "shard.npz", "--json").stdout)["shard"]["index"] == 1
    finished = run("analyze", "shard.npz", "--permutations", "9")
    assert "these are the prompts of shard 1 of 2 (counted from 0) of a capture, 24 of 48" in " ".join(
        (finished.stdout + finished.stderr).split()
    )
    notes = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))["notes"]
    assert "`moexray merge` joins its shards" in notes["signatures.shard"]


def test_a_file_that_says_nonsense_of_shards_is_named(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    made_up().replace(meta={"shard": [1, 2]}).save(tmp_path / "shard.npz")
    finished = run("info", "shard.npz")
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: shard.npz: meta says that this is a shard, but not which of what")


def test_merge_says_what_only_some_files_have_beside_them(
    run: Run, made_up: Callable[..., Signatures], write_trace: Callable[..., Signatures], tmp_path: Path
) -> None:
    write_trace(tmp_path / "one.trace.parquet", prompts=4).save(tmp_path / "one.npz")
    other = write_trace(tmp_path / "other.trace.parquet", prompts=4)
    other.replace(ids=tuple(f"other {name}" for name in other.prompts.ids)).save(tmp_path / "two.npz")
    finished = run("merge", "one.npz", "two.npz", "--out", "both.npz")
    assert finished.returncode == 0
    said = finished.stderr.splitlines()
    assert said[0] == "two.npz has no trace beside it, and so the merged signatures have none"
    assert said[1:] == ["next: moexray analyze both.npz"], "the trace that is there is not of the merged file"
    assert not (tmp_path / "both.trace.parquet").exists()


def test_info_names_models_corpora_and_layers_of_a_table_of_counts(run: Run) -> None:
    Path("counts.csv").write_text(
        "model,corpus,layer,expert,count\nm,x,3,0,30\nm,y,3,1,12\nn,x,3,0,1\n", encoding="utf-8"
    )
    printed = " ".join(run("info", "counts.csv").stdout.split())
    assert "m 2 corpora (x, y), layer 3, 2 experts, 42 selections a layer" in printed
    assert "n 1 corpus (x), layer 3, 1 expert, 1 selection a layer" in printed
    assert "m, layer 3 entropy 0.863, gini 0.214, cv 0.429, max_over_mean 1.429, dead_experts 0" in printed
