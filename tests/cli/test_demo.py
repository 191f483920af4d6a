"""`moexray demo`: everything, offline, from an empty folder, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.views.figures import FIGURES, OF_SIGNATURES, figures_of
from moexray.views.sentences import summarize

from ..shown import README, assert_shown, sessions


@pytest.mark.slow
def test_the_demo_leaves_signatures_analysis_and_figures_and_says_what_the_readme_shows(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "moexray", "demo", "--out", "found", "--quiet"]
    environment = {**os.environ, "COLUMNS": "80"}
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")  # not quiet, a busy machine says how far it is
    folder = tmp_path / "found"
    assert {path.name for path in folder.iterdir()} == {
        "signatures.npz", "signatures.trace.parquet", "analysis.json", "report.html",
        *(f"{name}.png" for name in figures_of(*OF_SIGNATURES) if FIGURES[name].needs != "trace"),
    }  # fmt: skip
    assert len(Signatures.load(folder / "signatures.npz")) == 80
    analysis = Analysis.load(folder / "analysis.json")
    told = " ".join(finished.stdout.split())
    for sentence in summarize(analysis):
        assert " ".join(sentence.split()) in told
    assert "say nothing about OLMoE" in told
    assert "Everything is in found/: open found/report.html in a browser." in told
    assert "moexray analyze" not in told, "the next command is a remark, which --quiet leaves out"
    (install, nothing), (demo, shown) = sessions(README)
    assert (install, nothing, demo) == ("pip install .", "", "moexray demo")
    assert_shown(shown, finished.stdout)
