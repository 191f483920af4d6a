"""`moexray plot` draws the result of any study, as its command prints it, or says why it does not."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.studies.power import power_of_effect
from moexray.views.figures import FIGURES, figure, figures_of
from moexray.views.studies import STUDIES

from ..views.figures.studies.shapes import caching

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Return the file of a power analysis."""
    power_of_effect(0.8, categories=2, studies=5, most=6).save(tmp_path / "power.json")
    return tmp_path / "power.json"


def test_a_result_is_drawn_without_a_name_and_by_its_name(run: Run, result: Path) -> None:
    finished = run("plot", "power.json", "--width", "icml", "--format", "svg")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "wrote power.svg\n", "")
    unnamed = Path("power.svg").read_bytes()
    assert b'width="234pt"' in unnamed  # 3.25 inches
    assert run("plot", "--power", "power.json", "--width", "3.25", "--out", "again.svg").returncode == 0
    assert Path("again.svg").read_bytes() == unnamed
    assert run("plot", "power.json", "--all").stdout == "wrote power.png\n"


def test_a_figure_of_another_result_is_refused_in_a_sentence(run: Run, result: Path) -> None:
    for name, reason in (
        ("--batching", "it draws what `moexray batch --json` prints, and power.json is a power analysis"),
        ("--load", "it is one of signatures, and power.json is a power analysis"),
    ):
        finished = run("plot", "power.json", name)
        assert (finished.returncode, finished.stdout) == (1, "")
        assert reason in finished.stderr
    finished = run("plot", "power.json", "--seed", 3)
    assert finished.returncode == 2
    assert "--seed is for figures of signatures, and power.json is a power analysis" in finished.stderr
    finished = run("plot", "signatures.npz", "--kind-devices")
    assert finished.returncode == 2
    assert "--kind-devices draws what `moexray kinds --json` prints: name the file" in finished.stderr
    Path("other.json").write_text(json.dumps({"schema": 1, "made": "elsewhere"}), encoding="utf-8")
    finished = run("plot", "other.json")
    assert finished.returncode == 1
    assert "other.json" in finished.stderr


def test_a_result_whose_parts_do_not_fit_is_refused(run: Run) -> None:
    caching(2, 8, [4]).save("cache.json")
    document = json.loads(Path("cache.json").read_text(encoding="utf-8"))
    del document["together"]["hit_rate"]["lru"]
    Path("cache.json").write_text(json.dumps(document), encoding="utf-8")
    finished = run("plot", "cache.json")
    assert finished.returncode == 1
    assert "parts are missing or do not fit together in cache.json; `moexray cache --json` makes another" in (
        finished.stderr
    )


def test_every_figure_is_of_a_result_that_a_command_makes() -> None:
    assert {entry.of for entry in FIGURES.values() if entry.of_study} <= STUDIES.keys()
    assert all(figure(name).__name__ == name for name in FIGURES)
    assert figures_of("place") == ["placement", "placement_kinds"]


def test_a_command_draws_its_figure_at_a_width_and_refuses_one_of_no_figure(run: Run) -> None:
    asked = ("power", "--effect", "0.8", "--studies", "5", "--most", "6")
    assert run(*asked, "--figure", "p.svg", "--width", "icml").returncode == 0
    assert b'width="234pt"' in Path("p.svg").read_bytes()
    refused = run(*asked, "--width", "icml")
    assert refused.returncode == 2
    assert "--width is that of a figure: give --figure, too" in refused.stderr
    assert "'wide' is no width" in run(*asked, "--figure", "p.svg", "--width", "wide").stderr
