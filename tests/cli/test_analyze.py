"""`moexray analyze`: a table for people, JSON for scripts."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from pyarrow import parquet

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis, analyze

Run = Callable[..., CompletedProcess[str]]


def test_the_table_holds_the_figures_of_the_file_it_writes(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    made_up().save(tmp_path / "signatures.npz")
    finished = run("analyze", "--permutations", 99)
    assert finished.returncode == 0
    assert finished.stderr == "next: moexray report signatures.npz\nnext: moexray plot signatures.npz --all\n"
    document = Analysis.load(tmp_path / "analysis.json").document
    similarity = document["similarity"]
    for shown in (
        f"{similarity['within']['mean']:.4f} ± {similarity['within']['std']:.4f} (132 pairs)",
        f"{similarity['across']['mean']:.4f} ± {similarity['across']['std']:.4f} (144 pairs)",
        f"Cohen's d = {similarity['cohens_d']:.2f}",
        f"{100 * document['classifier']['accuracy']['mean']:.1f} %",
        "(99 permutations)",
        "wrote analysis.json",
        *(f"{layer['cohens_d']:.2f}" for layer in document["layers"]),
    ):
        assert shown in finished.stdout, shown


def test_json_on_standard_output_is_the_file_and_nothing_else(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    made_up().save(tmp_path / "given.npz")
    finished = run("analyze", "given.npz", "--json", "--permutations", 19, "--out", "found.json")
    assert finished.returncode == 0
    assert finished.stdout == (tmp_path / "found.json").read_text(encoding="utf-8")
    assert json.loads(finished.stdout)["settings"]["permutations"] == 19


def test_options_reach_the_analysis(run: Run, made_up: Callable[..., Signatures], tmp_path: Path) -> None:
    signatures = made_up()
    signatures.save(tmp_path / "signatures.npz")
    run("analyze", "--phase", "prompt", "--permutations", 29, "--seed", 7, "--folds", 3)
    expected = analyze(signatures, tokens="prompt", permutations=29, seed=7, folds=3)
    assert (tmp_path / "analysis.json").read_text(encoding="utf-8") == expected.to_json()


@pytest.mark.parametrize("read", ["signatures.npz", "./signatures.npz", "signatures.trace.parquet"])
def test_what_is_analyzed_is_not_written_over(run: Run, write_trace: Callable[..., Signatures], read: str) -> None:
    write_trace(Path("signatures.trace.parquet")).save("signatures.npz")
    before = Path(read).read_bytes()
    finished = run("analyze", "--trace", "signatures.trace.parquet", "--out", read)
    assert finished.stderr == f"error: {Path(read)} is what is analyzed: name another file with --out\n"
    assert (finished.returncode, Path(read).read_bytes()) == (1, before)


def test_what_was_not_computed_is_shown_with_its_reason(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    made_up(6, categories=1).save(tmp_path / "signatures.npz")
    finished = run("analyze", "--permutations", 9)
    assert finished.returncode == 0
    told = [line.split() for line in finished.stdout.splitlines()]
    assert ["classifier", "not", "computed"] in told
    assert "there is one category only" in " ".join(finished.stdout.split())


def test_a_table_of_many_categories_and_layers_is_not_cut(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path
) -> None:
    made_up(24, categories=12).save(tmp_path / "signatures.npz")
    finished = run("analyze", "--permutations", 9, "--folds", 2)
    assert all(f"kind {i}" in finished.stdout for i in range(12))
    assert "…" not in finished.stdout


def test_a_category_named_like_markup_is_shown_as_it_is(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up().replace(categories=("[red]", "[/red]") * 12).save("signatures.npz")
    finished = run("analyze", "--permutations", 9)
    assert "[red]" in finished.stdout
    assert "[/red]" in finished.stdout


def test_the_table_of_categories_finds_each_pair_where_names_hold_a_bar(
    run: Run, made_up: Callable[..., Signatures]
) -> None:
    names = ("a", "b|c", "a|b", "c")
    made_up(categories=4).replace(categories=names * 6).save("signatures.npz")
    finished = run("analyze", "--permutations", 9, "--folds", 2, "--json")
    similarity = json.loads(finished.stdout)["similarity"]
    shown = [line.split() for line in run("analyze", "--permutations", 9, "--folds", 2).stdout.splitlines()]
    cell = {key: f"{summary['mean']:.3f}" for key, summary in similarity["by_pair"].items()}
    own = {key: f"{summary['mean']:.3f}" for key, summary in similarity["by_category"].items()}
    assert ["a", own["a"], cell[r"a|a\|b"], cell[r"a|b\|c"], cell["a|c"]] in shown
    assert ["b|c", cell[r"a|b\|c"], cell[r"a\|b|b\|c"], own["b|c"], cell[r"b\|c|c"]] in shown


def test_a_trace_adds_what_tokens_explain(run: Run, write_trace: Callable[..., Signatures]) -> None:
    write_trace(Path("trace.parquet"), prompts=40).save("signatures.npz")
    without = run("analyze", "--permutations", 99)
    assert "it needs a trace: moexray capture --record trace" in " ".join(without.stdout.split())
    finished = run("analyze", "--permutations", 99, "--trace", "trace.parquet")
    assert finished.returncode == 0, finished.stderr
    rows = [line.strip() for line in finished.stdout.splitlines()]
    for name in ("same token", "token identity", "token expectation", "token residual"):
        assert any(row.startswith(name) for row in rows), name
    missing = run("analyze", "--trace", "other.parquet")
    assert missing.returncode == 1
    assert "other.parquet is not there" in missing.stderr


def test_the_classifier_is_tested_on_another_file(run: Run, made_up: Callable[..., Signatures], tmp_path: Path) -> None:
    signatures, other = made_up(), made_up(seed=1)
    signatures.save(tmp_path / "signatures.npz")
    other.save(tmp_path / "other.npz")
    finished = run("analyze", "--test", "other.npz", "--permutations", 19)
    assert finished.returncode == 0, finished.stderr
    found = analyze(signatures, test=other, permutations=19)
    assert (tmp_path / "analysis.json").read_text(encoding="utf-8") == found.to_json()
    assert found.test is not None
    assert f"{100 * found.test.accuracy.mean:.1f} %" in finished.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--test", "signatures.npz"), "--test is what is analyzed: name a capture of other prompts"),
        (("--test", "none.npz"), "none.npz"),
        (("--test", "other.npz", "--out", "other.npz"), "other.npz is what is analyzed: name another file with --out"),
    ],
)
def test_a_test_that_cannot_be_one_is_refused(
    run: Run, made_up: Callable[..., Signatures], more: tuple[str, ...], said: str
) -> None:
    made_up().save("signatures.npz")
    made_up(seed=1).save("other.npz")
    finished = run("analyze", *more)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert said in finished.stderr


@pytest.mark.slow
def test_several_files_are_analyzed_as_the_merged_one(
    run: Run, write_trace: Callable[..., Signatures], tmp_path: Path
) -> None:
    whole = write_trace(tmp_path / "whole.trace.parquet")
    whole.save("whole.npz")
    half = len(whole) // 2
    for name, rows in (("a", range(half)), ("b", range(half, len(whole)))):
        whole.take(rows).save(f"{name}.npz")
        parquet.write_table(
            parquet.read_table("whole.trace.parquet", filters=[("prompt", "in", [whole.prompts.ids[i] for i in rows])]),
            f"{name}.trace.parquet",
        )
    settings = ("--permutations", 9, "--out", "one.json")
    assert run("analyze", "whole.npz", "--trace", "whole.trace.parquet", *settings).returncode == 0
    several = ("a.npz", "b.npz", "--trace", "a.trace.parquet", "--trace", "b.trace.parquet")
    assert run("analyze", *several, "--permutations", 9).returncode == 0
    assert (tmp_path / "analysis.json").read_bytes() == (tmp_path / "one.json").read_bytes()
    one, other = (
        run("experts", "whole.npz", "--trace", "whole.trace.parquet", "--json"),
        run("experts", *several, "--json"),
    )
    assert one.stdout == other.stdout
    finished = run("analyze", *several[:4])
    assert finished.stderr == (
        "error: 1 trace and 2 files of signatures: give --trace once for each file, in the same order\n"
    )
    finished = run("analyze", "a.npz", "a.npz")
    assert (finished.returncode, finished.stderr) == (
        1,
        "error: a.npz and a.npz both hold prompt 'p0': ids must be unique\n",
    )
    finished = run("analyze", "a.npz", "b.npz", "--out", "b.npz")
    assert finished.stderr == "error: b.npz is what is analyzed: name another file with --out\n"
