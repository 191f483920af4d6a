"""Experts that are dropped are chosen by no token, and dropping none changes nothing."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from moexray.engines.transformers.hooks import recorded_selections
from moexray.engines.transformers.loading import load_model
from moexray.engines.transformers.taps import find_taps

SCRIPT = Path(__file__).parent.parent / "scripts" / "drop_experts.py"
TEXT = torch.arange(40, 80)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    found = spec_from_file_location("drop_experts", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("scale", device="cpu").model


def ranking(layers: int = 16, width: int = 64) -> dict[str, object]:
    """Expert 0 gets most of code and least of math, and so on upwards."""
    experts = [{"expert": e, "categories": {"code": width - e, "math": e + 1}} for e in range(width)]
    return {"categories": ["code", "math"], "layers": [{"layer": i, "experts": experts} for i in range(layers)]}


def test_the_least_used_experts_of_a_category_are_dropped_in_every_layer(script: ModuleType) -> None:
    assert script.least_used(ranking(2, 8), "code", 0.25) == {0: [7, 6], 1: [7, 6]}
    assert script.least_used(ranking(2, 8), "math", 0.25) == {0: [0, 1], 1: [0, 1]}
    assert {len(set(experts)) for experts in script.at_random(ranking(2, 8), 0.25, seed=0).values()} == {2}


def test_no_token_is_sent_to_a_dropped_expert_and_every_token_to_k_others(script: ModuleType, model: Any) -> None:
    dropped = script.least_used(ranking(), "code", 0.5)
    with torch.inference_mode(), script.without(model, dropped), recorded_selections(find_taps(model)) as recorded:
        model(input_ids=TEXT[None])
    for layer, (chosen,) in enumerate(recorded):
        assert chosen.shape == (len(TEXT), 8)
        assert not set(chosen.flatten().tolist()) & set(dropped[layer])


def test_dropping_none_changes_no_loss_and_dropping_leaves_the_model_as_it_was(script: ModuleType, model: Any) -> None:
    whole = script.loss_of(model, [TEXT])
    with script.without(model, {layer: [] for layer in range(16)}):
        assert script.loss_of(model, [TEXT]) == whole
    with script.without(model, script.at_random(ranking(), 0.5, seed=0)):
        assert script.loss_of(model, [TEXT]) != whole
    assert script.loss_of(model, [TEXT]) == whole


def test_loss_is_that_of_the_model_itself(script: ModuleType, model: Any) -> None:
    """A text in one window: what transformers computes from labels."""
    with torch.inference_mode():
        expected = float(model(input_ids=TEXT[None], labels=TEXT[None]).loss)
    assert script.loss_of(model, [TEXT]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_ranking_is_read_and_the_loss_of_each_category_is_printed(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "experts.json").write_text(json.dumps(ranking()), encoding="utf-8")
    (tmp_path / "code.txt").write_text("Write a function that adds two numbers.\n", encoding="utf-8")
    program = typer.Typer()
    program.command()(script.main)

    def run(*options: str) -> Result:
        files = [str(tmp_path / "experts.json"), "--text", str(tmp_path / "code.txt")]
        return CliRunner().invoke(program, [*files, "--seeds", "2", *options])

    heading, row = run().stdout.splitlines()
    assert heading.split()[:4] == ["text", "tokens", "whole", "own"]
    assert row.startswith("code")
    assert "experts would be left of a layer" in run("--share", "0.9").stderr
