"""A checkpoint's settings are read as what they say, or refused in one sentence before its weights are read."""

import json
import shutil
import warnings
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from moexray.engines.transformers.checkpoint_config import read_config
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

from ...tiny_models import loaded, mixtral, random_model, routed, tokenizer_of_letters

PROMPTS = [Prompt("abc", "c", "short"), Prompt("defghijklmnop", "c", "long")]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixtral")
    random_model(mixtral(), torch.float32).save_pretrained(folder)
    tokenizer_of_letters().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """Return a checkpoint that a test may change."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def change(folder: Path, name: str = "config.json", **values: Any) -> str:
    """Set values in one of a checkpoint's files; None takes one out."""
    file = folder / name
    held = json.loads(file.read_text(encoding="utf-8")) | values
    file.write_text(json.dumps({key: value for key, value in held.items() if value is not None}), encoding="utf-8")
    return str(folder)


def sequences(folder: str | Path) -> list[RoutedSequence]:
    with TransformersEngine(load_model(str(folder), device="cpu")) as engine:
        return routed(engine, PROMPTS, Generation(4))


@pytest.fixture(scope="module")
def expected(saved: Path) -> list[RoutedSequence]:
    return sequences(saved)


@pytest.mark.parametrize(
    "values",
    [
        {"num_local_experts": 8.0},
        {"num_experts_per_tok": "2", "hidden_size": 32.0},
        {"router_aux_loss_coef": 0},
        {"rms_norm_eps": "1e-05"},
        {"dtype": "auto"},
        {"dtype": None, "torch_dtype": "torch.float32"},
        {"output_router_logits": True},
        {"return_dict": False, "output_hidden_states": True},
        {"pad_token_id": 999},
        {"pad_token_id": -100},
    ],
    ids=str,
)
def test_values_of_another_type_and_switches_of_training_change_nothing(
    folder: Path, expected: list[RoutedSequence], values: dict[str, Any]
) -> None:
    for found, one in zip(sequences(change(folder, **values)), expected, strict=True):
        np.testing.assert_array_equal(found.experts, one.experts)
        np.testing.assert_array_equal(found.token_ids, one.token_ids)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"num_local_experts": 8.5}, "expected int, got float"),
        ({"hidden_size": "wide"}, "expected int, got str"),
        ({"dtype": "float4_e2m1"}, "names the number format 'float4_e2m1', which torch"),
        ({"dtype": "nn"}, "names the number format 'nn'"),
        ({"per_layer_config": {"1": {"num_local_experts": 4}}}, "'num_local_experts' is a per-layer attribute"),
        ({"layer_types": ["full_attention", "striped"]}, "layer_types"),
        ({"hidden_act": "nonesuch"}, "it names 'nonesuch', which transformers does not know"),
        ({"vocab_size": -4}, "building the model of its configuration failed: "),
        ({"quantization_config": "fp8"}, "'str' object has no attribute"),
    ],
    ids=str,
)
def test_values_of_no_use_are_one_sentence_about_the_model(folder: Path, values: dict[str, Any], reason: str) -> None:
    name = change(folder, **values)
    (folder / "model.safetensors").unlink()  # an attempt to read the weights would say something else
    with pytest.raises(ModelError) as caught:
        load_model(name, device="cpu")
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"model {name}")
    assert "\n" not in str(caught.value)


def test_generation_settings_of_no_use_are_one_sentence(folder: Path) -> None:
    with pytest.raises(ModelError, match="reading its generation settings failed: TypeError"):
        load_model(change(folder, "generation_config.json", max_new_tokens="few"), device="cpu")


@pytest.mark.parametrize(
    ("named", "tokens"),
    [
        (-1, []), (32000, []), ([2, 151645], [2]), ([], []), (None, []), ("0", [0]), (["3", 5.0], [3, 5]), (51, [51]),
    ],
)  # fmt: skip
def test_a_text_ends_at_the_end_tokens_that_exist(named: Any, tokens: list[int]) -> None:
    model = loaded("mixtral", "float32")
    before = model.model.generation_config = GenerationConfig()
    before.eos_token_id = before.pad_token_id = named
    engine = TransformersEngine(model)
    assert engine.description["end_tokens"] == tokens
    going_on = routed(engine, PROMPTS, Generation(24, stop_at_eos=False))
    for found, whole in zip(routed(engine, PROMPTS, Generation(24)), going_on, strict=True):
        written = whole.token_ids[whole.prompt_length :].tolist()
        ends = [place for place, token in enumerate(written) if token in tokens]
        assert found.token_ids[found.prompt_length :].tolist() == written[: ends[0] if ends else None]


@pytest.mark.parametrize("named", ["</s>", 2.5, True, [1, "x"], float("nan")])
def test_an_end_token_that_is_no_token_is_refused(named: Any) -> None:
    model = loaded("mixtral", "float32")
    model.model.generation_config = GenerationConfig()
    model.model.generation_config.eos_token_id = named
    with pytest.raises(ModelError, match="that is no token id"):
        TransformersEngine(model)


def test_the_tokenizers_end_token_is_told_apart_from_those_that_end_a_text() -> None:
    model = loaded("mixtral", "float32")
    model.model.generation_config = GenerationConfig(eos_token_id=2)
    model.tokenizer.eos_token = "t"
    description = TransformersEngine(model).description
    assert (description["end_tokens"], description["tokenizer_end_token"]) == ([2], 19)


def test_switches_of_training_are_told_and_stand_as_before_when_the_engine_is_closed() -> None:
    model = loaded("mixtral", "float32")
    model.model.config.output_router_logits = True
    with TransformersEngine(model) as engine:
        assert engine.description["switched_off"] == ["output_router_logits"]
        assert not model.model.config.output_router_logits
    assert model.model.config.output_router_logits
    assert TransformersEngine(loaded("mixtral", "float32")).description["switched_off"] == []


def test_a_model_within_data_parallel_is_recorded_as_itself(expected: list[RoutedSequence]) -> None:
    model = loaded("mixtral", "float32")
    wrapped = LoadedModel("wrapped", torch.nn.DataParallel(model.model), model.tokenizer)
    with TransformersEngine(wrapped) as engine:
        found = routed(engine, PROMPTS, Generation(4))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.experts, other.experts)


@pytest.mark.parametrize("left", [[], ["tokenizer_config.json"]])
@pytest.mark.parametrize("family", ["mixtral", "olmoe"])
def test_a_folder_without_a_tokenizer_is_refused(saved: Path, tmp_path: Path, left: list[str], family: str) -> None:
    """Of some models transformers makes an empty tokenizer where there is none."""
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    for file in folder.glob("*token*"):
        if file.name not in left:
            file.unlink()
    name = change(folder, model_type=family, num_experts=8) if family == "olmoe" else str(folder)
    with pytest.raises(ModelError, match="it comes without a tokenizer: put its tokenizer's files"):
        load_model(name, device="cpu")


def test_a_tokenizer_of_a_package_that_is_not_installed_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in folder.glob("*token*"):
        file.unlink()
    tekken = {
        "config": {"pattern": ".", "num_vocab_tokens": 256, "default_vocab_size": 257, "default_num_special_tokens": 1},
        "vocab": [{"rank": i, "token_bytes": b64encode(bytes([i])).decode(), "token_str": None} for i in range(256)],
        "special_tokens": [{"rank": 0, "token_str": "<unk>", "is_control": True}],
    }
    (folder / "tekken.json").write_text(json.dumps(tekken), encoding="utf-8")
    monkeypatch.setattr("moexray.engines.transformers.tokenizers.is_mistral_common_available", lambda: False)
    with pytest.raises(ModelError, match="needs a package that is not installed: pip install mistral-common"):
        load_model(str(folder), device="cpu")


def test_a_damaged_tokenizer_is_one_sentence(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="its tokenizer") as caught:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://huggingface.co/owner/some-model", "huggingface.co/owner/some-model/tree/main"]
)
def test_the_page_of_a_hub_model_is_told_from_its_name(address: str) -> None:
    with pytest.raises(ModelError, match='is the page of a hub model, not its name: say `model="owner/some-model"`'):
        read_config(address)


MODELING = """
from transformers import MixtralForCausalLM, MixtralPreTrainedModel, MixtralModel
{head}
class Own({bases}):
    {body}
"""


MAKING = """def __init__(self, config):
        super().__init__(config)
        """


def with_own_code(folder: Path, **parts: str) -> str:
    code = {"head": "", "bases": "MixtralForCausalLM", "body": "pass", **parts}
    (folder / "own.py").write_text(MODELING.format(**code), encoding="utf-8")
    return change(folder, auto_map={"AutoModelForCausalLM": "own.Own"}, architectures=["Own"], model_type="mixtral")


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep copies of a checkpoint's modules out of the user's cache."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (
            {"bases": "MixtralPreTrainedModel", "body": MAKING + "self.model = MixtralModel(config)"},
            "Own cannot generate text: its class must inherit from GenerationMixin",
        ),
        (
            {"body": MAKING + "self.no_such_part()"},
            "the code that comes with it failed: AttributeError: 'Own' object has no attribute 'no_such_part'",
        ),
        (
            {"body": MAKING + "1 / 0"},
            "the code that comes with it failed: ZeroDivisionError",
        ),
        ({"body": MAKING + "raise ValueError('no')"}, "the code that comes with it failed: ValueError: no"),
        (
            {"head": "from transformers.utils import no_such_name"},
            "its code does not fit the installed transformers",
        ),
        (
            {"head": "import transformers.no_such_module"},
            "its code does not fit the installed transformers",
        ),
        ({"head": "import no_such_package"}, "needs a package that is not installed"),
        ({"head": "def broken(:"}, "the code that comes with it failed: SyntaxError"),
    ],
)  # fmt: skip
def test_the_code_of_a_checkpoint_is_blamed_for_what_it_does(folder: Path, parts: dict[str, str], reason: str) -> None:
    name = with_own_code(folder, **parts)
    with pytest.raises(ModelError) as caught:
        load_model(name, device="cpu", trust_remote_code=True)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("own_modules")
def test_code_that_comes_with_a_checkpoint_and_works_is_recorded(folder: Path, expected: list[RoutedSequence]) -> None:
    name = with_own_code(folder)
    with TransformersEngine(load_model(name, device="cpu", trust_remote_code=True)) as engine:
        assert type(engine.model).__name__ == "Own"
        found = routed(engine, PROMPTS, Generation(4))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.experts, other.experts)
