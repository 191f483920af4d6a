"""Every command and every output in the README and the docs is what a user gets today."""

import doctest
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import moexray
from moexray.studies.analysis import Analysis
from moexray.studies.section import sections_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*")
SECONDS = re.compile(r"\d+\.\d s\b")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Each command line of the README that shows its output, with that output."""
    found = [part.partition("\n") for block in blocks(README, "console") for part in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "prompts", made / "prompts")
    return made


def run(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    assert program == "moexray"
    finished = subprocess.run(
        [sys.executable, "-m", "moexray", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def words(text: str) -> list[str]:
    """Take the numbers out, and how long it took."""
    return NUMBER.sub("#", SECONDS.sub("# s", text)).split()


def numbers(text: str) -> list[float]:
    found = NUMBER.findall(SECONDS.sub("", text))
    return [float(number.replace(",", "").replace("−", "-")) for number in found]


def assert_same_but_for_rounding(found: str, shown: str) -> None:
    """Another processor may send a token whose scores all but tie elsewhere, and figures follow a little."""
    assert words(found) == words(shown)
    assert numbers(found) == pytest.approx(numbers(shown), rel=0.1, abs=0.1)


@pytest.mark.slow
def test_every_command_prints_what_the_readme_shows(folder: Path) -> None:
    assert [command.split()[1] for command, _ in commands()] == ["capture", "analyze", "plot", "claims"]
    for command, shown in commands():
        assert_same_but_for_rounding(run(command, folder), shown)
    assert (folder / "layerwise.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/signatures.md", "docs/prompts.md"])
def test_the_python_that_is_shown_runs(folder: Path, page: str) -> None:
    if not (folder / "signatures.npz").is_file():
        run("moexray capture --model scale", folder)
    for program in blocks((ROOT / page).read_text(encoding="utf-8"), "python"):
        subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=folder, check=True, capture_output=True)


def test_the_readmes_table_is_that_of_the_models_own_record() -> None:
    record = json.loads((Path(moexray.__file__).parent / "scale_model" / "training.json").read_text())
    table = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in README.splitlines() if row.startswith("|")}
    rows = {"the model": "loss", "a bigram model": "bigram_loss", "a unigram model": "unigram_loss"}
    for category, column in zip(("code", "factual", "math", "story"), range(4), strict=True):
        held_out = record["held_out"][category]
        for row, key in rows.items():
            assert float(table[row][column]) == round(held_out[key], 3)
        assert float(table["perplexity"][column]) == round(held_out["perplexity"], 1)


def test_every_page_that_is_linked_is_there() -> None:
    linked = re.findall(r"""(?:\]\(|src=")(?!https?:)([^)#"]+)""", README)
    assert {"docs/similarity.png", "docs/signatures.md", "LICENSE"} <= set(linked)
    assert all((ROOT / page).is_file() for page in linked)


def test_every_session_that_the_docs_show_prints_what_they_say() -> None:
    found = doctest.testfile(str(ROOT / "docs" / "analysis.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 5
    assert found.failed == 0


def test_every_key_of_the_analysis_is_documented() -> None:
    page = (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8")
    sections = [one.key for one in sections_of(Analysis)]
    assert all(f"| `{key}` |" in page for key in ("schema", "signatures", "settings", *sections, "notes"))
