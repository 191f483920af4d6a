"""The command line starts at once: what is heavy is imported when it is used."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import made

HEAVY = {"torch", "transformers", "tokenizers", "scipy", "sklearn", "pandas", "pyarrow", "datasets", "matplotlib"}
# Runs command lines one after the other, and prints what had been imported after each.
RUNNER = """
import contextlib, io, json, sys
for line in sys.argv[1:]:
    sys.argv = ["moexray", *line.split()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            from moexray.cli.main import main
            main()
    print(json.dumps([line, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def imported_by(
    *command_lines: str, folder: Path | None = None, env: dict[str, str] | None = None
) -> dict[str, set[str]]:
    """Return the top-level packages loaded after each command line of one process, whether it succeeded or not."""
    finished = subprocess.run(
        [sys.executable, "-c", RUNNER, *command_lines],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return {command: set(packages) for command, packages in map(json.loads, finished.stdout.splitlines())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen prompts of four categories in signatures.npz, and an analysis of others in analysis.json."""
    folder = tmp_path_factory.mktemp("startup")
    texts = [f"a prompt of {i} words" for i in range(16)]
    names = ("code", "factual", "math", "story")
    made.signatures(16, layers=(0, 1), categories=names, texts=texts).save(folder / "signatures.npz")
    shutil.copy(Path(__file__).parent / "data" / "analysis-schema-1.json", folder / "analysis.json")
    return folder


def test_the_library_imports_nothing_heavy_before_it_is_used() -> None:
    program = (
        "import sys, moexray, moexray.stats; dir(moexray), dir(moexray.stats)\n"
        "from moexray.prompts import bundled_prompts; bundled_prompts()\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "moexray" in finished.stdout.split()
    assert not HEAVY & set(finished.stdout.split())


def test_the_list_of_commands_imports_no_command() -> None:
    (imported,) = imported_by("--help").values()
    assert {"moexray", "typer"} <= imported
    assert not (HEAVY | {"numpy"}) & imported


@pytest.mark.parametrize("words", ["moexray an", "moexray analyze --per", "moexray capture --engine t"])
def test_the_tab_key_waits_for_nothing_heavy(words: str) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_MOEXRAY_COMPLETE": "complete_bash"}
    (imported,) = imported_by("", env=os.environ | asked).values()
    assert "typer" in imported
    assert not HEAVY & imported


def test_help_and_info_import_nothing_heavy(folder: Path) -> None:
    helps = [f"{command} --help" for command in ("capture", "analyze", "plot", "claims", "demo")]
    infos = [f"info {file}" for file in ("x", "signatures.npz", "analysis.json")]
    for command, imported in imported_by(*helps, *infos, folder=folder).items():
        assert not HEAVY & imported, command


@pytest.mark.slow
def test_an_analysis_imports_what_computes_and_no_more_and_what_shows_it_computes_nothing(folder: Path) -> None:
    """scikit-learn for the classifiers, which takes most of SciPy with it, and pandas, pyarrow where they are there."""
    (folder / "analysis.json").unlink()
    for command, imported in imported_by("claims --permutations 9", "analyze --permutations 9", folder=folder).items():
        assert HEAVY & imported - {"pandas", "pyarrow"} == {"scipy", "sklearn"}, command
    shown = imported_by("plot --load --layerwise --pca --similarity", folder=folder)
    assert [HEAVY & imported for imported in shown.values()] == [{"matplotlib"}]
    assert len(list(folder.glob("*.png"))) == 4
    checked = imported_by("claims", folder=folder)
    assert not {"sklearn", "matplotlib"} & set().union(*checked.values())


@pytest.mark.slow
def test_help_takes_at_most_two_and_a_half_times_as_long_as_importing_numpy() -> None:
    """The least of the processor's time of interleaved runs: more of them where a busy machine slowed the first."""

    def seconds(*program: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *program], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    ours = numpys = float("inf")
    for turn in range(16):
        ours = min(ours, seconds("-m", "moexray", "--help"))
        numpys = min(numpys, seconds("-c", "import numpy"))
        if turn >= 3 and ours <= 2.5 * numpys:
            break
    assert ours <= 2.5 * numpys
