"""`moexray report` writes one page, of the saved analysis or of a new one, and says which."""

import json
import re
import webbrowser
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from moexray.signatures import Signatures
from moexray.views.report.study_commands import command_line
from moexray.views.studies import read_result

from .. import made

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def analyzed(save_analysis: Callable[..., Signatures]) -> Signatures:
    return save_analysis(seed=3, permutations=19)


def facts(path: Path) -> dict[str, Any]:
    found = re.search(r'id="facts">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_the_page_is_of_the_saved_analysis_and_the_browser_opens_it(
    run: Run, analyzed: Signatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    finished = run("report", "--open")
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert (finished.returncode, finished.stderr) == (0, "read analysis.json\n")
    assert re.fullmatch(r"wrote report\.html \(0\.\d MB\): open it in a browser\n", finished.stdout)
    saved = json.loads((tmp_path / "analysis.json").read_text())
    assert [one["cohens_d"] for one in facts(tmp_path / "report.html")["effects"]] == [
        layer["cohens_d"] for layer in saved["layers"]
    ]


@pytest.mark.slow
def test_without_an_analysis_that_fits_the_signatures_are_analyzed(run: Run, tmp_path: Path) -> None:
    made.signatures(12).save(tmp_path / "signatures.npz")
    finished = run("report", "--permutations", 19, "--out", "page.html")
    assert (finished.returncode, finished.stderr.splitlines()[-1]) == (0, "there is no analysis.json: analyzed anew")
    assert (tmp_path / "page.html").is_file()


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf"])
def test_a_size_that_is_none_is_refused(run: Run, analyzed: Signatures, size: str) -> None:
    finished = run("report", f"--max-size={size}")
    assert finished.returncode == 2
    assert "give megabytes, above 0" in finished.stderr


def test_there_is_no_size_too_large(run: Run, analyzed: Signatures) -> None:
    assert run("report", "--max-size", "1e308").returncode == 0


def test_a_page_that_cannot_be_small_enough_is_refused_in_one_sentence(
    run: Run, analyzed: Signatures, tmp_path: Path
) -> None:
    finished = run("report", "--max-size", "0.05")
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith("error: the report would take more than 0.05 MB")
    assert not (tmp_path / "report.html").exists()


def test_results_of_other_commands_become_pages(run: Run, analyzed: Signatures, tmp_path: Path) -> None:
    for command, options in (("coverage", ()), ("experts", ("--permutations", 19))):
        (tmp_path / f"{command}.json").write_text(run(command, *options, "--json").stdout, encoding="utf-8")
    assert run("report", "--result", "coverage.json", "--result", "experts.json").returncode == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<section class="view study" id="([\w-]+)"', page) == ["study-coverage", "study-experts"]
    assert "<span>experts</span> <span>signatures.npz</span> <span>--permutations</span> <span>19</span>" in page
    made.signatures(14).save(tmp_path / "other.npz")
    finished = run("report", "other.npz", "--result", "coverage.json")
    assert finished.returncode == 1
    assert finished.stderr == (
        "error: coverage.json is of other signatures: make it anew from these with `moexray coverage --json`\n"
    )
    # Without the signatures: the analysis alone, and what is of the same ones.
    finished = run("report", "analysis.json", "--result", "coverage.json", "--out", "alone.html")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert facts(tmp_path / "alone.html")["alone"]
    assert run("report", "coverage.json", "--result", "experts.json", "--out", "studies.html").returncode == 0
    page = (tmp_path / "studies.html").read_text(encoding="utf-8")
    assert "<h1><bdi>made-up</bdi></h1>" in page
    assert re.findall(r'<section [^>]*id="([\w-]+)"', page) == ["study-coverage", "study-experts"]
    assert '"verdict"' not in page
    assert Signatures.open("signatures.npz").fingerprint in page
    finished = run("report", "analysis.json", "--trace", "signatures.trace.parquet")
    assert finished.returncode == 2
    assert "--trace needs signatures, and analysis.json is an analysis" in finished.stderr


def test_an_analysis_of_other_signatures_is_refused(run: Run, analyzed: Signatures, tmp_path: Path) -> None:
    made.signatures(14).save(tmp_path / "other.npz")
    finished = run("report", "other.npz", "--analysis", "analysis.json")
    assert finished.returncode == 1
    assert "belongs to other signatures" in finished.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "batch --sizes 1,4 --group-size 2 --tokens generated --expert-bytes 1000 --seed 2",
        "cache --capacity 2,4 --hit-rate 0.8 --shared",
        "kinds --kinds generated,prompt --devices 4 --permutations 19",
        "place --devices 4 --nodes 2 --redundant 4 --placement eplb --seed 4",
        "experts --layer 2 --tokens prompt --permutations 19",
    ],
)
def test_the_command_of_a_page_prints_the_very_result(run: Run, tmp_path: Path, command: str) -> None:
    made.trace(tmp_path / "signatures.trace.parquet", prompts=12).save("signatures.npz")
    name, *options = command.split()
    printed = run(name, "signatures.npz", *options, "--json").stdout
    (tmp_path / "result.json").write_text(printed, encoding="utf-8")
    own = Signatures.open("signatures.npz").fingerprint
    line = command_line(*read_result(tmp_path / "result.json"), "signatures.npz", own)
    assert line.startswith(f"moexray {name} signatures.npz --")
    assert run(*line.split()[1:]).stdout == printed


def test_the_command_of_a_comparison_leaves_out_again_what_only_one_has(run: Run, tmp_path: Path) -> None:
    made.signatures(12).save("before.npz")
    made.signatures(10, seed=1).save("after.npz")
    printed = run("compare", "before.npz", "after.npz", "--common", "--permutations", "19", "--json").stdout
    (tmp_path / "result.json").write_text(printed, encoding="utf-8")
    own = Signatures.open("before.npz").fingerprint
    line = command_line(*read_result(tmp_path / "result.json"), "before.npz", own)
    assert " --common " in line
    assert run(*line.replace("OTHER.npz", "after.npz").split()[1:]).stdout == printed
    assert "10 prompts in both" in run("compare", "before.npz", "after.npz", "--common", "--permutations", "19").stdout
