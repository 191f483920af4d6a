"""`moexray models` says what can be recorded and how, of all architectures or of one model."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from transformers import DeepseekV4Config, LlamaConfig

Run = Callable[..., CompletedProcess[str]]


def test_every_architecture_is_listed_with_its_tap(run: Run) -> None:
    found = {one["model_type"]: one for one in json.loads(run("models", "--json").stdout)}
    assert found["olmoe"] == {"model_type": "olmoe", "tap": "generic", "reason": ""}
    assert found["llama4"]["tap"] == "special"
    assert "no layer sees all tokens" in found["switch_transformers"]["reason"]
    shown = run("models").stdout
    assert all(name in shown for name in found)
    assert f"{len(found)} MoE architectures" in " ".join(shown.split())


def test_one_model_is_told_from_its_configuration(run: Run) -> None:
    finished = run("models", "scale")
    assert (finished.returncode, finished.stderr) == (0, "")
    told = " ".join(finished.stdout.split())
    assert "architecture olmoe tap generic MoE layers 16: 0–15 experts 64 k 8" in told
    found = json.loads(run("models", "scale", "--json").stdout)
    assert (found["model"], found["layers"], found["experts"]) == ("scale", list(range(16)), [64] * 16)
    assert found["dtype_here"] in found["gigaflops"]
    assert "is the fastest that fits" in told


def test_a_model_without_experts_is_told_to_have_none(run: Run, tmp_path: Path) -> None:
    LlamaConfig(num_hidden_layers=1).save_pretrained(tmp_path / "llama")
    assert "it has no experts" in " ".join(run("models", "llama").stdout.split())


def test_a_model_whose_prompts_run_one_by_one_is_told_to_do_so(run: Run, tmp_path: Path) -> None:
    DeepseekV4Config(num_hidden_layers=4).save_pretrained(tmp_path / "v4")
    assert "prompts run one by one" in run("models", "v4").stdout


def test_a_model_that_is_not_there_is_one_sentence(run: Run, tmp_path: Path) -> None:
    finished = run("models", tmp_path / "nothing")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("error: there is no model folder")
