"""`moexray coverage` prints what prompts reach seldom, and needs no trace."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from ..shown import example_files

Run = Callable[..., CompletedProcess[str]]


def test_it_prints_tables_from_signatures_alone(run: Run) -> None:
    example_files(Path())
    Path("signatures.trace.parquet").unlink()
    finished = run("coverage", "--below", 30)
    assert finished.returncode == 0, finished.stderr
    assert "scale, 80 prompts, 5,394 tokens: coverage of 1,024 experts" in finished.stdout
    assert "in fewer than 30 prompts" in finished.stdout
    assert "halves of two categories" in finished.stdout


def test_json_has_a_layer_for_each_layer(run: Run) -> None:
    example_files(Path())
    document = json.loads(run("coverage", "--tokens", "prompt", "--json").stdout)
    assert document["tokens"] == "prompt"
    assert len(document["layers"]) == len(document["stability"]["layers"]) == 16
    assert set(document["by_prompts"]) == {"found", "load_matched", "uniform"}


def test_a_threshold_below_one_is_one_sentence(run: Run) -> None:
    example_files(Path())
    finished = run("coverage", "--below", 0)
    assert finished.returncode == 1
    assert "--below is 0: the least is 1" in finished.stderr


def test_it_draws_a_figure(run: Run) -> None:
    example_files(Path())
    assert "wrote coverage.svg" in run("coverage", "--figure", "coverage.svg").stderr
    assert Path("coverage.svg").read_text(encoding="utf-8").startswith("<?xml")
