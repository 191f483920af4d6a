"""`moexray demo`: everything, offline, from an empty folder."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.views.figures import FIGURES, OF_SIGNATURES, figures_of
from moexray.views.sentences import summarize

from ..shown import README, assert_shown, sessions

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.slow
def test_the_demo_leaves_signatures_analysis_and_figures_and_says_what_the_readme_shows(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    finished = run("demo", "--out", "found", "--quiet")  # a busy machine would say each half minute how far it is
    assert (finished.returncode, finished.stderr) == (0, "")
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
    assert "Everything is in found/: open found/report.html in a browser" in told
    (install, nothing), (demo, shown) = sessions(README)
    assert (install, nothing, demo) == ("pip install .", "", "moexray demo")
    assert_shown(shown, finished.stdout)
