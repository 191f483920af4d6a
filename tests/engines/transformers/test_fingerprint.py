"""The fingerprint of a model goes by what its files hold, not by where they lie, who wrote them, or in what parts."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.fingerprint import fingerprint_of_folder, fingerprint_of_tokenizer
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.errors import CaptureError
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with

from ...tiny_models import loaded
from .checkpoints import Tensors, change, configure, renamed, save, split
from .zoo import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "model")


def test_a_copy_other_shards_and_another_writer_give_the_same(folder: Path, tmp_path: Path) -> None:
    expected = fingerprint_of_folder(folder)
    assert fingerprint_of_folder(Path(shutil.copytree(folder, tmp_path / "copy"))) == expected
    configure(folder, transformers_version="9.9.9", dtype="bfloat16", _name_or_path="elsewhere")
    assert fingerprint_of_folder(split(folder)) == expected


@pytest.mark.parametrize("part", ["experts.3.w1", "gate.weight", "input_layernorm"])
def test_one_number_of_one_tensor_gives_another(folder: Path, part: str) -> None:
    before = fingerprint_of_folder(folder)

    def edit(tensors: Tensors) -> Tensors:
        name = next(name for name in tensors if part in name)
        tensors[name].view(-1)[-1] += 1
        return tensors

    after = fingerprint_of_folder(change(folder, edit))
    assert (before["configuration"], before["weights"]) != (after["configuration"], after["weights"])
    assert before["configuration"] == after["configuration"]


def test_other_names_and_other_settings_give_another(folder: Path) -> None:
    before = fingerprint_of_folder(folder)
    after = fingerprint_of_folder(change(configure(folder, rope_theta=5.0), renamed("model.", "")))
    assert before.keys() == after.keys()
    assert all(before[part] != after[part] for part in before)


def test_a_token_of_another_id_gives_another(tokenizer: PreTrainedTokenizerFast) -> None:
    before = fingerprint_of_tokenizer(tokenizer)
    held = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = held["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    other = PreTrainedTokenizerFast(tokenizer_object=type(tokenizer.backend_tokenizer).from_str(json.dumps(held)))
    assert fingerprint_of_tokenizer(other) != before


def test_a_model_of_the_hubs_cache_has_the_fingerprint_of_its_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the commit that its name or revision stands for."""
    commit = "0123456789" * 4
    hub = tmp_path / "hub"
    shutil.copytree(folder, hub / "models--owner--model" / "snapshots" / commit)
    (hub / "models--owner--model" / "refs").mkdir()
    (hub / "models--owner--model" / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(hub))
    found = load_model("owner/model", device="cpu")
    assert found.fingerprint == load_model(str(folder), device="cpu").fingerprint
    assert TransformersEngine(found).description["revision"] == commit


def test_a_stopped_capture_of_a_model_in_memory_goes_on_with_the_same_numbers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [Prompt("abc", "c", "p")]
    model = loaded("mixtral", "float32")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, TransformersEngine(model) as engine:
        patch.setattr(TransformersEngine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            capture_with(engine, prompts, out=tmp_path / "out.npz", batch_tokens=100)
    before = model.model.lm_head.weight[0, 0].item()
    with torch.no_grad():
        model.model.lm_head.weight[0, 0] = before + 1
    with TransformersEngine(model) as engine, pytest.raises(CaptureError, match="another checkpoint of that name"):
        capture_with(engine, prompts, out=tmp_path / "out.npz", batch_tokens=100)
    with torch.no_grad():
        model.model.lm_head.weight[0, 0] = before
    same = LoadedModel(model.name, model.model, model.tokenizer)
    with TransformersEngine(same) as engine:
        found = capture_with(engine, prompts, out=tmp_path / "out.npz", batch_tokens=100)
    assert set(found.meta["fingerprint"]) == {"tokenizer"}


@pytest.mark.nightly
@pytest.mark.parametrize("model_type", [one.model_type for one in moe_architectures() if one.tap != "refused"])
def test_every_architecture_is_read_as_it_was_written(tmp_path: Path, model_type: str) -> None:
    """Nothing of it is refused, and every number in memory is that of the model which was saved."""
    model = tiny_model(model_type, torch.float32)
    model.save_pretrained(tmp_path)
    for file in save(tmp_path / "tokenizer").glob("tokenizer*"):
        file.rename(tmp_path / file.name)
    found = load_model(str(tmp_path), device="cpu", dtype="float32").model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
