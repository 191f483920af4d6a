"""The fingerprint of a model goes by what its files hold, not by where they lie, who wrote them, or in what parts."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.fingerprint import (
    checksum_of_state,
    fingerprint_of_folder,
    fingerprint_of_tokenizer,
)
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.model_fingerprint import differing_parts
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
    configure(hub / "models--owner--model" / "snapshots" / commit, model_type="no-such")
    with pytest.raises(ModelError, match="owner/model was found on the Hugging Face hub, and could not be loaded: "):
        load_model("owner/model")
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


def meta_of(model: LoadedModel) -> Mapping[str, Any]:
    with TransformersEngine(model) as engine:
        return capture_with(engine, [Prompt("abc", "c", "p")], Generation(0)).meta


@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.1.mlp.experts.down_proj"])
def test_numbers_changed_after_loading_are_not_those_of_the_files(folder: Path, name: str) -> None:
    """Whether the change is one that torch counts or not, before the engine is opened or after."""
    model = load_model(str(folder), device="cpu")
    files = meta_of(model)["fingerprint"]
    assert files["weights"] == fingerprint_of_folder(folder)["weights"]
    tensor = model.model.get_parameter(name)
    with TransformersEngine(model) as engine:
        found = []
        for _ in range(2):
            tensor.data.view(-1)[-1].neg_()
            found.append(capture_with(engine, [Prompt("abc", "c", "p")], Generation(0)).meta["fingerprint"])
    assert found[0]["weights"] != files["weights"]
    assert found[1] == files
    with torch.no_grad():  # two experts, or two tokens, change places: every sum over the tensor stays
        tensor[[0, 1]] = tensor[[1, 0]]
    assert differing_parts(meta_of(model), {"fingerprint": files}) == ["weights"]


def test_tensors_of_every_format_and_length_have_a_checksum() -> None:
    whole = torch.arange(70_000, dtype=torch.int32)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.int64):
        of_dtype = whole.to(dtype)
        found = set()
        for part in (of_dtype, of_dtype[1:], of_dtype[:0], of_dtype[:3], of_dtype.view(7, -1).T):
            module = torch.nn.Module()
            module.register_buffer("held", part)
            found.add(checksum_of_state(module))
        assert len(found) == 5


CODE = {
    "sub/own.py": "from transformers import MixtralForCausalLM\nfrom .parts import NAME\n"
    "class Own(MixtralForCausalLM):\n    pass\n",
    "sub/parts.py": "NAME = 'a'\n",
    "sub/unused.py": "",
}


@pytest.fixture
def with_code(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkpoint whose model is code of a subfolder."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        monkeypatch.delitem(sys.modules, name)
    (folder / "sub").mkdir()
    for name, text in CODE.items():
        (folder / name).write_text(text)
    return configure(folder, auto_map={"AutoModelForCausalLM": "sub/own.Own"}, model_type="mixtral")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", ["sub/own.py", "sub/parts.py"])
def test_code_of_the_checkpoint_that_runs_is_part_of_what_it_is(with_code: Path, file: str, tmp_path: Path) -> None:
    def meta() -> Mapping[str, Any]:
        return meta_of(load_model(str(with_code), device="cpu", trust_remote_code=True))

    before = meta()
    (with_code / "sub" / "unused.py").write_text("UNUSED = 1\n")
    copy = shutil.copytree(with_code, tmp_path / "copy")
    moved = meta_of(load_model(str(copy), device="cpu", trust_remote_code=True))
    assert "code" in before["fingerprint"]
    assert moved["fingerprint"] == meta()["fingerprint"] == before["fingerprint"]
    (with_code / file).write_text(CODE[file] + "# changed\n")
    assert differing_parts(before, meta()) == ["code"]


@pytest.mark.filterwarnings("ignore")
def test_a_stopped_capture_does_not_go_on_with_other_code_below_the_folder(with_code: Path) -> None:
    inputs = []
    for text in ("", "UNUSED = 1\n"):
        (with_code / "sub" / "unused.py").write_text(text)
        with TransformersEngine(load_model(str(with_code), device="cpu", trust_remote_code=True)) as engine:
            inputs.append(engine.inputs()["checkpoint"])
    assert {name for name in inputs[0] if inputs[0][name] != inputs[1][name]} == {"sub/unused.py"}


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
