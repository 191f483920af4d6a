"""A saved analysis is read where it is of the same signatures and options; else the reason is said."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.signatures import Signatures
from moexray.version import __version__

from .. import made

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(autouse=True)
def analyzed(save_analysis: Callable[..., Signatures]) -> None:
    """Signatures and their analysis."""
    save_analysis(permutations=19, seed=3)


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
        ("--tokens", "prompt", "was made with --tokens all, not prompt"),
        ("--seed", 4, "was made with --seed 3, not 4"),
        ("--folds", 3, "was made with --folds 5, not 3"),
        ("--permutations", 9, "was made with --permutations 19, not 9"),
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
    assert (other.returncode, other.stderr) == (1, "error: mine.json was made with --seed 3, not 4\n")
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


def test_an_option_is_named_as_the_command_line_has_it(run: Run) -> None:
    made.signatures(mass=True).save("signatures.npz")
    run("analyze", "--permutations", 19)
    assert run("plot", "--pca", "--by", "mass", "--permutations", 19).stderr == (
        "analysis.json was made with --by counts, not mass: analyzed anew\n"
    )


def test_an_analysis_of_an_old_version_is_not_said_to_belong_to_other_signatures(run: Run) -> None:
    document = json.loads(Path("analysis.json").read_text(encoding="utf-8"))
    del document["signatures"]["fingerprint"]
    Path("analysis.json").write_text(json.dumps(document), encoding="utf-8")
    finished = run("claims", "--analysis", "analysis.json")
    assert finished.stderr == "error: analysis.json does not say which signatures it belongs to\n"


def test_the_matrix_of_similarities_says_whose_options_it_has(run: Run) -> None:
    assert run("plot", "--similarity").stderr == "read analysis.json: the matrix is computed with its options\n"


@pytest.mark.parametrize(
    ("option", "status", "said"),
    [
        (("--seed", 4), 1, "error: analysis.json was made with --seed 3, not 4\n"),
        (("--analysis", "nowhere.json"), 2, "error: --analysis needs signatures, and analysis.json is an analysis"),
        (("--trace", "nowhere.parquet"), 2, "error: --trace needs signatures, and analysis.json is an analysis"),
    ],
)
def test_options_that_an_analysis_alone_cannot_follow_are_refused(
    run: Run, option: tuple[object, ...], status: int, said: str
) -> None:
    finished = run("plot", "analysis.json", "--pca", *option)
    assert finished.returncode == status
    assert said in finished.stderr.replace("Invalid value: ", "")
    assert run("plot", "analysis.json", "--pca", "--seed", 3).stderr == "read analysis.json\n"


def test_a_trace_that_is_not_there_is_an_error_even_where_nothing_needs_it(run: Run) -> None:
    finished = run("plot", "--pca", "--trace", "nowhere.parquet")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "nowhere.parquet is not there" in finished.stderr


def test_all_figures_are_those_that_the_analysis_has_parts_for(run: Run) -> None:
    document = json.loads(Path("analysis.json").read_text(encoding="utf-8"))
    document["pca"] = None
    Path("analysis.json").write_text(json.dumps(document), encoding="utf-8")
    finished = run("plot", "analysis.json", "--all")
    assert finished.returncode == 0
    assert finished.stdout.split() == ["wrote", "layerwise.png", "wrote", "load.png", "wrote", "distributions.png"]
    assert "no figure pca" in finished.stderr
    assert run("plot", "analysis.json", "--pca").returncode == 1


def test_what_a_file_says_of_itself_cannot_move_the_cursor(run: Run) -> None:
    text = Path("analysis.json").read_text(encoding="utf-8")
    Path("analysis.json").write_text(text.replace('"by": "counts"', '"by": "\\u001b[2J"'), encoding="utf-8")
    finished = run("claims", "--by", "counts", "--permutations", 9)
    assert finished.stderr == "analysis.json was made with --by \\x1b[2J, not counts: analyzed anew\n"


def test_an_analysis_of_another_version_is_made_anew_unless_it_is_named(run: Run) -> None:
    """Another version may compute other numbers; whoever names the file is told which version made them."""
    document = json.loads(Path("analysis.json").read_text(encoding="utf-8"))
    document["settings"]["moexray"] = "0.0.1"
    Path("analysis.json").write_text(json.dumps(document), encoding="utf-8")
    anew = run("plot", "--pca", "--permutations", 9)
    assert anew.stderr == f"analysis.json was made by moexray 0.0.1, not {__version__}: analyzed anew\n"
    named = run("plot", "--pca", "--analysis", "analysis.json")
    assert named.stderr == f"read analysis.json, which was made by moexray 0.0.1, not {__version__}\n"
