"""Models that are spread over devices, or whose weights are packed, are recorded like all others.

There is no GPU here: layers on the disk stand for those on other devices, since accelerate runs both through the same
hooks, and bitsandbytes packs weights on the CPU too.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    FineGrainedFP8Config,
    GptOssConfig,
    PreTrainedModel,
)
from transformers.integrations.finegrained_fp8 import replace_with_fp8_linear
from transformers.quantizers.quantizer_mxfp4 import Mxfp4HfQuantizer

from moexray.engines.transformers.checkpoint import SCALE_MODEL
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, build_skeleton, load_model
from moexray.engines.transformers.taps import find_taps
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

from ...tiny_models import routed
from .zoo import tiny_config, tiny_model
from .zoo_checks import check_against_routers, check_causes, letters, record

pytestmark = pytest.mark.slow

PROMPTS = [Prompt(text, category="a", id=text) for text in ("One, two, three: what comes next?", "def f(x):")]
# The sixteen numbers of four bits: a sign, two bits of exponent, one of mantissa (OCP Microscaling Formats 1.0).
FOUR_BITS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def recorded(loaded: LoadedModel) -> list[RoutedSequence]:
    return routed(TransformersEngine(loaded), PROMPTS, Generation(max_new_tokens=3))


def assert_same(found: list[RoutedSequence], expected: list[RoutedSequence]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.token_ids, other.token_ids)
        np.testing.assert_array_equal(np.sort(one.experts), np.sort(other.experts))


def test_auto_changes_nothing_where_there_is_one_device() -> None:
    found = recorded(load_model("scale", device="auto", dtype="float32"))
    assert_same(found, recorded(load_model("scale", device="cpu", dtype="float32")))


@pytest.mark.parametrize("first", ["cpu", "disk"])
def test_layers_that_lie_elsewhere_until_they_run_are_recorded(first: str, tmp_path: Path) -> None:
    places = {"model.embed_tokens": first, "model.norm": "cpu", "lm_head": "cpu", "model.rotary_emb": "cpu"}
    places |= {f"model.layers.{layer}": "disk" if layer in (1, 8) else "cpu" for layer in range(16)}
    model = AutoModelForCausalLM.from_pretrained(
        SCALE_MODEL, dtype=torch.float32, device_map=places, offload_folder=tmp_path
    ).eval()
    whole = load_model("scale", device="cpu", dtype="float32")
    assert {parameter.device.type for parameter in model.parameters()} >= {"meta"}
    assert_same(recorded(LoadedModel("spread", model, whole.tokenizer)), recorded(whole))


@pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning")
@pytest.mark.parametrize("bits", [4, 8])
def test_a_checkpoint_of_bitsandbytes_is_recorded(bits: int, tmp_path: Path) -> None:
    # Where the CPU has AVX512-BF16, bitsandbytes packs 4-bit weights in blocks of 64 inputs and takes no narrower ones.
    wide = {"hidden_size": 64, "intermediate_size": 64, "head_dim": 16}
    tiny_model("olmoe", torch.float32, **wide).save_pretrained(tmp_path / "whole")
    packing = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
    packed = AutoModelForCausalLM.from_pretrained(
        tmp_path / "whole", dtype=torch.float32, device_map={"": "cpu"}, quantization_config=packing
    )
    packed.save_pretrained(tmp_path / "packed")
    letters().save_pretrained(tmp_path / "packed")
    loaded = load_model(str(tmp_path / "packed"), device="cpu")
    assert TransformersEngine(loaded).description["quantization"] == "bitsandbytes"
    layout, sequences = record(loaded.model, 1)
    check_against_routers(loaded.model, layout, sequences)
    assert check_causes(loaded.model, layout, sequences[0]) > 0


def test_a_checkpoint_of_mxfp4_runs_unpacked_and_is_recorded(tmp_path: Path) -> None:
    """Its own kernels select and compute in one, where no hook could read the selections."""
    packed = write_mxfp4(tmp_path)
    model = load_model(str(tmp_path), device="cpu", dtype="float32").model
    for name, expected in packed.items():
        torch.testing.assert_close(model.get_parameter(name).data, expected, rtol=0, atol=0)
    layout, sequences = record(model, 3)
    check_against_routers(model, layout, sequences)
    assert check_causes(model, layout, sequences[0]) > 0


def test_mxfp4_is_to_be_unpacked_on_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU unpacks anyway, so the setting is read before transformers looks at the machine."""
    write_mxfp4(tmp_path)
    asked = []

    def note(quantizer: Mxfp4HfQuantizer, *_args: object, **_kwargs: object) -> None:
        asked.append(quantizer.quantization_config.dequantize)

    monkeypatch.setattr(Mxfp4HfQuantizer, "validate_environment", note)
    load_model(str(tmp_path), device="cpu", dtype="float32")
    assert asked == [True]


def test_experts_in_eight_bits_are_recorded_by_the_generic_tap() -> None:
    skeleton = build_skeleton(tiny_config("olmoe"))
    packed = replace_with_fp8_linear(skeleton, quantization_config=FineGrainedFP8Config())
    taps = find_taps(packed)
    assert {type(tap.module).__name__ for tap in taps} == {"FP8Experts"}
    assert [tap.layer for tap in taps] == [tap.layer for tap in find_taps(build_skeleton(tiny_config("olmoe")))]
    assert not any(tap.special for tap in taps)


def write_mxfp4(folder: Path) -> dict[str, torch.Tensor]:
    """Write a tiny gpt-oss whose experts are blocks of four-bit numbers; return them unpacked, by name."""
    config: GptOssConfig = tiny_config("gpt_oss")
    config.intermediate_size = 32  # the length of a block
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    stored, unpacked = {}, {}
    for name, tensor in model.state_dict().items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            stored[name] = tensor.normal_(std=0.2) if tensor.ndim > 1 else tensor.clone()
            continue
        experts, width, height = tensor.shape
        blocks = torch.randint(256, (experts, height, width // 32, 16), dtype=torch.uint8)
        scales = torch.randint(122, 126, (experts, height, width // 32), dtype=torch.uint8)
        stored |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        numbers = FOUR_BITS[torch.stack([blocks & 15, blocks >> 4], dim=-1).long()].flatten(-2)
        unpacked[name] = (numbers * 2.0 ** (scales.float() - 127)[..., None]).flatten(-2).transpose(1, 2)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    config.architectures = ["GptOssForCausalLM"]
    config.quantization_config = {"quant_method": "mxfp4", "modules_to_not_convert": kept}
    config.save_pretrained(folder)
    letters().save_pretrained(folder)
    return unpacked
