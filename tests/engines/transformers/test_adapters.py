"""An adapter is applied where it is asked for; what happens to be installed changes nothing."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.errors import MissingExtra, ModelError
from moexray.generation import Generation

from ...tiny_models import prompts_of_letters, routed, tokenizer_of_letters
from .checkpoints import save


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("base"))


def test_a_folder_with_an_adapter_beside_its_weights_is_refused_until_that_is_said(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "both"))
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match=r"has an adapter beside its weights .* apply it with `adapter='"):
        load_model(str(folder), device="cpu")


def test_the_folder_of_an_adapter_alone_is_told_from_that_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "allenai/no-such-model"}')
    with pytest.raises(ModelError, match="is an adapter, not a model: name the model that it was trained for"):
        load_model(str(tmp_path), device="cpu")


def test_without_peft_an_adapter_is_refused_before_anything_is_loaded(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"an adapter needs peft: pip install 'moexray\[adapters\]'"):
        load_model(str(base), device="cpu", adapter=str(tmp_path))


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return an adapter of attention, experts and routers, and the model with it merged into its weights."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(7)
    experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight"]
    settings = peft.LoraConfig(
        r=4, lora_alpha=32, target_modules=["q_proj"], target_parameters=experts, init_lora_weights=False
    )
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    return folder, model.merge_and_unload()


PEFT = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@PEFT
def test_the_adapter_that_is_named_routes_as_if_it_were_merged(base: Path, trained: tuple[Path, Any]) -> None:
    """And another model beside the same weights has the fingerprint of the weights, with that of the adapter."""
    adapter, merged = trained
    loaded = load_model(str(base), device="cpu", adapter=str(adapter))
    engine = TransformersEngine(loaded)
    expected = TransformersEngine(LoadedModel("merged", merged, tokenizer_of_letters()))
    found = [routed(one, prompts_of_letters(), Generation(3)) for one in (engine, expected)]
    assert all((one.experts == other.experts).all() for one, other in zip(*found, strict=True))
    description, plain = engine.description, load_model(str(base), device="cpu").fingerprint
    assert description["adapter"] == str(adapter)
    assert {name: description["fingerprint"][name] for name in plain} == plain
    assert set(description["fingerprint"]) - set(plain) == {"adapter", "tokenizer"}


@PEFT
def test_an_adapter_beside_the_weights_is_applied_once_and_alone(
    base: Path, trained: tuple[Path, Any], tmp_path: Path
) -> None:
    """Where peft is installed, transformers would apply it by itself."""
    folder = Path(shutil.copytree(base, tmp_path / "both"))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(trained[0] / name, folder / name)
    with pytest.raises(ModelError, match="has an adapter beside its weights"):
        load_model(str(folder), device="cpu")
    tensors = [
        load_model(str(folder), device="cpu", adapter=str(one)).model.state_dict() for one in (folder, trained[0])
    ]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


@PEFT
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model.layers.1.self_attn.q_proj.lora_A.weight": None}, "it does not hold model.layers.1.self_attn"),
        ({"model.layers.7.self_attn.q_proj.lora_A.weight": (4, 32)}, "nothing reads its model.layers.7"),
        ({"model.layers.0.self_attn.q_proj.lora_A.weight": (2, 32)}, r"has the shape \(2, 32\), and \(4, 32\) in"),
        ({"peft_type": "NONE"}, "cannot be applied to this model"),
    ],
)
def test_an_adapter_that_does_not_fit_is_one_sentence(
    base: Path, trained: tuple[Path, Any], tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    """Because of a tensor that is taken out or has another shape, or of a setting."""
    tensors = {name: shape for name, shape in changed.items() if name.endswith("weight")}
    settings = {name: value for name, value in changed.items() if name not in tensors}
    held = load_file(trained[0] / "adapter_model.safetensors")
    for name, shape in tensors.items():
        held.pop(f"base_model.model.{name}", None)
        if shape is not None:
            held[f"base_model.model.{name}"] = torch.ones(shape)
    save_file(held, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((trained[0] / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **settings}))
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(str(base), device="cpu", adapter=str(tmp_path))
    assert str(caught.value).startswith(f"adapter {tmp_path}")
    assert "\n" not in str(caught.value)


@PEFT
@pytest.mark.usefixtures("trained")
def test_a_folder_without_an_adapter_is_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"adapter {tmp_path} has no adapter_config.json"):
        load_model(str(base), device="cpu", adapter=str(tmp_path))
