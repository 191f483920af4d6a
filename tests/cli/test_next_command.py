"""The line that says what to run next can be copied: it names the files that were written, and it runs."""

import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.cli.next_command import after_analysis, after_shard, suggest
from moexray.shards import Shard
from moexray.signatures import Signatures

from .. import made

Run = Callable[..., CompletedProcess[str]]
Captured = pytest.CaptureFixture[str]


def suggested(stderr: str) -> list[list[str]]:
    lines = [line.removeprefix("next: ") for line in stderr.splitlines() if line.startswith("next: ")]
    return [shlex.split(line) for line in lines]


def test_a_line_that_is_suggested_runs(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up(4, seed=1).save("my first.npz")
    made_up(8, seed=2).save("it's two.npz")
    merged = run("merge", "my first.npz", "it's two.npz", "--out", "both of them.npz")
    ((program, *analyze),) = suggested(merged.stderr)
    assert (program, *analyze) == ("moexray", "analyze", "both of them.npz")
    analyzed = run(*analyze, "--permutations", 9, "--folds", 2, "--out", "an analysis.json")
    report, plot = suggested(analyzed.stderr)
    assert report == ["moexray", "report", "both of them.npz", "--analysis", "an analysis.json"]
    assert plot == ["moexray", "plot", "both of them.npz", "--all", "--analysis", "an analysis.json"]
    drawn = run(*(word if word != "--all" else "--pca" for word in plot[1:]))
    assert (drawn.returncode, drawn.stdout) == (0, "wrote pca.png\n")


@pytest.mark.parametrize("prompt", ["--quiet", "it's $(a prompt)"])
def test_a_prompt_of_any_name_is_shown_by_the_line_that_is_suggested(run: Run, prompt: str) -> None:
    plain = made.trace(Path("plain.parquet"), prompts=4)
    plain.replace(ids=(prompt, *plain.prompts.ids[1:])).save("s.npz")
    made.change_trace(
        Path("plain.parquet"),
        Path("s.trace.parquet"),
        prompt=lambda one: prompt if one == plain.prompts.ids[0] else one,
    )
    (line,) = suggested(run("show", "--", prompt, "s.npz").stderr)
    shown = run(*line[1:])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"prompt {prompt} " in shown.stdout


def test_nothing_is_suggested_beside_json(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up().save("signatures.npz")
    assert run("analyze", "--permutations", 9, "--folds", 2, "--json").stderr == ""
    assert run("coverage", "--json").stderr == ""
    assert run("coverage").stderr == "next: moexray experts signatures.npz\n"


def test_prompts_of_one_category_are_not_sent_to_an_analysis(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up(categories=1).save("one.npz")
    assert suggested(run("merge", "one.npz", "--out", "out.npz").stderr) == [["moexray", "experts", "out.npz"]]


def test_of_several_files_figures_are_drawn_from_the_analysis_alone(capsys: Captured) -> None:
    after_analysis(Path("a.json"), [Path("x.npz"), Path("y.npz")])
    assert suggested(capsys.readouterr().err) == [["moexray", "plot", "a.json", "--all"]]


def test_a_trace_is_named_where_it_would_not_be_found(capsys: Captured) -> None:
    after_analysis(Path("analysis.json"), [Path("x.npz")], trace=Path("x.trace.parquet"))
    after_analysis(Path("analysis.json"), [Path("x.npz")], trace=Path("elsewhere.parquet"))
    lines = suggested(capsys.readouterr().err)
    assert lines[0] == ["moexray", "report", "x.npz"]
    assert lines[2] == ["moexray", "report", "x.npz", "--trace", "elsewhere.parquet"]


def test_shards_are_joined_where_they_are_few_enough_to_name(capsys: Captured) -> None:
    after_shard(Path("s.npz"), Shard(1, 2))
    after_shard(Path("s.npz"), Shard(1, 200))
    lines = suggested(capsys.readouterr().err)
    assert lines == [["moexray", "merge", "s.shard-0-of-2.npz", "s.shard-1-of-2.npz", "--out", "s.npz"]]


def test_a_name_that_a_terminal_must_not_show_is_not_suggested(capsys: Captured) -> None:
    suggest("analyze", Path("a\x1b[2J.npz"))
    suggest("analyze", Path("a\u202eb.npz"))
    suggest("analyze", Path("-dash.npz"))
    assert capsys.readouterr().err == "next: moexray analyze ./-dash.npz\n"
