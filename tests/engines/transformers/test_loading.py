"""A model that cannot be used is refused with one sentence, and before its weights are read."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, OlmoeConfig, PreTrainedTokenizerFast, SwitchTransformersConfig

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import load_model
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt

from ...tiny_models import routed
from .zoo import tiny_model


def folder_with_config(folder: Path, config: LlamaConfig | OlmoeConfig) -> str:
    """Make a checkpoint without weights: an attempt to read them fails with another error than these tests expect."""
    config.save_pretrained(folder)
    return str(folder)


def test_a_dense_model_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    config = LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8)
    config.architectures = ["LlamaForCausalLM"]
    with pytest.raises(ModelError, match="it has no experts"):
        load_model(folder_with_config(tmp_path, config))


def test_a_model_larger_than_memory_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    config = OlmoeConfig(hidden_size=2**15, intermediate_size=2**15, num_hidden_layers=64)
    with pytest.raises(ModelError, match=r"needs [\d.]+ GB as float32, but cpu has [\d.]+ GB free"):
        load_model(folder_with_config(tmp_path, config), device="cpu", dtype="float32")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(f"there is no model folder {tmp_path / 'nothing'}")):
        load_model(str(tmp_path / "nothing"))


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_model(str(tmp_path))


def test_a_damaged_config_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="could not be loaded from its folder") as caught:
        load_model(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_hub_model_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="check its name, `revision` and the network") as caught:
        load_model("allenai/no-such-model")
    assert "\n" not in str(caught.value)


def test_code_that_comes_with_a_checkpoint_runs_only_when_trusted(tmp_path: Path) -> None:
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="`trust_remote_code=True`"):
        load_model(str(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("dtype", ["float8", "int8", ""])
def test_an_unknown_dtype_is_refused_with_those_there_are(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(ModelError, match="float32, bfloat16"):
        load_model(folder_with_config(tmp_path, OlmoeConfig()), dtype=dtype)


@pytest.mark.parametrize("device", ["abacus", "meta", "cuda:77"])
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(ModelError, match="device"):
        load_model(folder_with_config(tmp_path, OlmoeConfig()), device=device)


def test_a_local_checkpoint_loads_in_the_dtype_it_was_saved_in_or_the_one_asked_for(
    tiny_olmoe_folder: str,
) -> None:
    assert load_model(tiny_olmoe_folder).model.dtype == torch.bfloat16
    assert load_model(tiny_olmoe_folder, dtype="float64").model.dtype == torch.float64


def test_a_multimodal_checkpoint_is_recorded_by_its_text(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    tiny_model("qwen3_vl_moe", torch.float32).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = TransformersEngine(load_model(str(tmp_path), device="cpu"))
    (sequence,) = routed(engine, [Prompt("abc", category="c", id="p")], Generation(2))
    assert engine.layout.layers == (0, 1, 2, 3)
    assert sequence.experts.shape == (4, 4, 2)


def test_a_type_that_cannot_be_recorded_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    SwitchTransformersConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="switch_transformers models cannot be recorded: it encodes the prompt"):
        load_model(str(tmp_path))
