"""The command line starts at once: what is heavy is imported when it is used."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis

HEAVY = {"torch", "transformers", "tokenizers", "scipy", "sklearn", "pandas", "pyarrow", "datasets", "matplotlib"}


def imported_by(*program: str | Path, folder: Path | None = None) -> set[str]:
    """Top-level packages that Python imports for this program, whether it succeeds or not."""
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", *program], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty prompts of four categories in signatures.npz, and in analysis.json as much as `info` looks at."""
    made = tmp_path_factory.mktemp("startup")
    liking = np.random.default_rng(0).dirichlet(np.ones(8), size=(4, 2))
    counts = np.zeros((80, 2, 2, 8), dtype=np.uint16)
    for prompt in range(80):
        counts[prompt] = np.random.default_rng(prompt).multinomial(40, liking[prompt % 4], size=(2, 2))
    Signatures(
        counts=counts,
        tokens=np.full((80, 2), 20, dtype=np.int32),
        categories=("code", "factual", "math", "story") * 20,
        prompt_ids=tuple(f"p{i}" for i in range(80)),
        layers=np.array([0, 1], dtype=np.int16),
        top_k=np.array([2, 2], dtype=np.int16),
        texts=tuple(f"a prompt of {i} words" for i in range(80)),
    ).save(made / "signatures.npz")
    empty = {"schema": 1, "signatures": {}, "settings": {}, "similarity": {}, "notes": {}}
    Analysis(empty).save(made / "analysis.json")
    return made


@pytest.mark.parametrize(
    "program",
    [
        ["-c", "import moexray"],
        ["-c", "import moexray.stats; dir(moexray.stats)"],
        ["-c", "from moexray.prompts import bundled_prompts; bundled_prompts()"],
        ["-m", "moexray", "--help"],
        *(["-m", "moexray", command, "--help"] for command in ("capture", "analyze", "plot", "claims", "demo")),
        *(["-m", "moexray", "info", file] for file in ("x", "signatures.npz", "analysis.json")),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(program: list[str], folder: Path) -> None:
    imported = imported_by(*program, folder=folder)
    assert "moexray" in imported
    assert not HEAVY & imported


@pytest.mark.parametrize("command", ["analyze", "claims"])
def test_an_analysis_of_eighty_prompts_imports_what_computes_and_no_more(folder: Path, command: str) -> None:
    """scikit-learn for the classifiers, which takes most of SciPy with it, and pandas, pyarrow where they are there."""
    imported = imported_by("-m", "moexray", command, "--permutations", "9", folder=folder)
    assert HEAVY & imported - {"pandas", "pyarrow"} == {"scipy", "sklearn"}


@pytest.mark.parametrize("figure", ["load", "similarity"])
def test_a_figure_without_a_classifier_takes_matplotlib_alone(folder: Path, figure: str) -> None:
    imported = imported_by("-m", "moexray", "plot", f"--{figure}", folder=folder)
    assert (folder / f"{figure}.png").is_file()
    assert HEAVY & imported == {"matplotlib"}
