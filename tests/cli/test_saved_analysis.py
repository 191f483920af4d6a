"""A saved analysis is read where it is of the same signatures and options; else the reason is said."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(autouse=True)
def analyzed(run: Run, made_up: Callable[..., Signatures]) -> None:
    """Signatures and their analysis."""
    made_up().save("signatures.npz")
    assert run("analyze", "--permutations", 19, "--seed", 3).returncode == 0


@pytest.mark.parametrize("command", [("plot", "--pca"), ("claims",)])
def test_an_analysis_of_these_signatures_is_read(run: Run, command: tuple[str, ...]) -> None:
    finished = run(*command)
    assert (finished.returncode, finished.stderr) == (0, "read analysis.json\n")


@pytest.mark.parametrize("command", [("plot", "--pca"), ("claims",)])
def test_an_analysis_of_other_signatures_is_not(
    run: Run, made_up: Callable[..., Signatures], command: tuple[str, ...]
) -> None:
    made_up(seed=7).save("signatures.npz")
    finished = run(*command, "--permutations", 9)
    assert (finished.returncode, finished.stderr) == (0, "analysis.json belongs to other signatures: analyzed anew\n")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--tokens", "prompt", "has tokens all, not prompt"),
        ("--seed", 4, "has seed 3, not 4"),
        ("--folds", 3, "has folds 5, not 3"),
        ("--permutations", 9, "has permutations 19, not 9"),
    ],
)
def test_an_analysis_with_other_options_is_not(run: Run, option: str, value: object, said: str) -> None:
    more = () if option == "--permutations" else ("--permutations", 19)
    assert run("plot", "--pca", option, value, *more).stderr == f"analysis.json {said}: analyzed anew\n"


def test_options_that_the_analysis_was_made_with_change_nothing(run: Run) -> None:
    finished = run("plot", "--pca", "--seed", 3, "--permutations", 19, "--folds", 5, "--phase", "all", "--by", "counts")
    assert finished.stderr == "read analysis.json\n"


def test_an_analysis_beside_the_signatures_is_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("signatures.npz", "analysis.json"):
        Path(name).rename(tmp_path / "elsewhere" / name)
    finished = run("plot", "elsewhere/signatures.npz", "--pca")
    assert (finished.returncode, finished.stderr) == (0, "read elsewhere/analysis.json\n")


def test_an_analysis_that_is_named_must_fit(run: Run, made_up: Callable[..., Signatures]) -> None:
    Path("analysis.json").rename("mine.json")
    assert run("claims", "--analysis", "mine.json").stderr == "read mine.json\n"
    other = run("claims", "--analysis", "mine.json", "--seed", 4)
    assert (other.returncode, other.stderr) == (1, "error: mine.json has seed 3, not 4\n")
    made_up(seed=7).save("signatures.npz")
    foreign = run("plot", "--pca", "--analysis", "mine.json")
    assert (foreign.returncode, foreign.stderr) == (1, "error: mine.json belongs to other signatures\n")


def test_a_damaged_analysis_is_said_and_replaced_by_a_new_one_in_memory(run: Run) -> None:
    Path("analysis.json").write_text("{}", encoding="utf-8")
    finished = run("plot", "--pca", "--permutations", 9)
    assert finished.returncode == 0
    assert finished.stderr.startswith("analysis.json is not an analysis")
    assert Path("analysis.json").read_text(encoding="utf-8") == "{}"


def test_claims_are_of_the_numbers_of_the_saved_analysis(run: Run) -> None:
    read = run("claims", "--json").stdout
    Path("analysis.json").unlink()
    assert run("claims", "--json", "--permutations", 19, "--seed", 3).stdout == read
