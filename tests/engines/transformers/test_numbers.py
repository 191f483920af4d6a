"""A prompt whose routers get NaN or infinity is refused, with its name, the layer and the cause."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.verify import verify
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt

from ...tiny_models import FAMILIES, random_model, routed, tokenizer_of_letters
from .zoo import tiny_model

PROMPTS = [Prompt("abcdefgh", "c", "first"), Prompt("Zab", "c", "holds Z"), Prompt("mnopqrst", "c", "last")]

Damage = Callable[[Any], torch.Tensor]

# What is damaged, and the layer whose router is the first to get, or give, what is no number.
DAMAGES: dict[str, tuple[Damage, int]] = {
    "model.embed_tokens.weight": (lambda model: model.model.embed_tokens.weight[token("Z")], 0),
    "model.layers.1.self_attn.o_proj.weight": (lambda model: model.model.layers[1].self_attn.o_proj.weight[0], 1),
    "model.layers.0.mlp.experts.down_proj": (lambda model: model.model.layers[0].mlp.experts.down_proj, 1),
    "model.layers.2.input_layernorm.weight": (lambda model: model.model.layers[2].input_layernorm.weight, 2),
}


def token(letter: str) -> int:
    return int(tokenizer_of_letters()(letter)["input_ids"][0])


def engine_of(dtype: torch.dtype = torch.float32, family: str = "olmoe") -> TransformersEngine:
    return TransformersEngine(LoadedModel("tiny", random_model(FAMILIES[family](), dtype), tokenizer_of_letters()))


def damaged(name: str, value: float) -> TransformersEngine:
    engine = engine_of()
    with torch.no_grad():
        DAMAGES[name][0](engine.model).fill_(value)
    return engine


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("weight", DAMAGES)
def test_damaged_weights_stop_the_capture_at_the_first_layer_they_reach(weight: str, value: float) -> None:
    layer = DAMAGES[weight][1]
    prompt = "holds Z" if "embed" in weight else "first"
    said = rf"^prompt '{prompt}': the router of layer {layer} \(model\.layers\.{layer}\.mlp\.experts\) got NaN or infin"
    with pytest.raises(ModelError, match=rf"{said}.*: {re.escape(weight)} holds NaN or infinity: fetch"):
        routed(damaged(weight, value), PROMPTS, Generation(3))


@pytest.mark.parametrize("weight", DAMAGES)
def test_verification_names_the_same_layer(weight: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.engines.transformers.verify._TEXTS", ("abcdefgh", "zZ"))
    said = rf"the router of layer {DAMAGES[weight][1]} .*: {re.escape(weight)} holds"
    with pytest.raises(ModelError, match=said):
        verify(damaged(weight, torch.nan))


@pytest.mark.parametrize(
    ("weight", "damage"),
    [
        ("lm_head.weight", lambda model: model.lm_head.weight[7]),
        ("model.layers.2.mlp.experts.down_proj", lambda model: model.model.layers[2].mlp.experts.down_proj),
    ],
)
def test_weights_after_the_last_router_are_found_by_the_logits(weight: str, damage: Damage) -> None:
    engine = engine_of()
    with torch.no_grad():
        damage(engine.model).fill_(torch.nan)
    said = rf"^prompt 'first': the logits are NaN or infinity, though .*: {re.escape(weight)} holds"
    with pytest.raises(ModelError, match=said):
        routed(engine, PROMPTS, Generation(3))


@pytest.mark.parametrize(
    ("family", "name"), [("deepseek_v3", "e_score_correction_bias"), ("gpt_oss", "bias"), ("olmoe", "weight")]
)
def test_a_damaged_router_is_refused_before_anything_runs(family: str, name: str) -> None:
    """The correction bias of DeepSeek decides what is selected, and enters no weight."""
    model = random_model(FAMILIES[family](), torch.float32)
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    path = next(path for path in tensors if re.search(rf"layers\.1\..*(gate|router)\.{name}$", path))
    with torch.no_grad():
        tensors[path][-1] = torch.nan
    with pytest.raises(ModelError, match=rf"^{re.escape(path)} holds NaN, so what layer 1 selects means nothing"):
        TransformersEngine(LoadedModel("tiny", model, tokenizer_of_letters()))


def test_an_overflow_of_float16_names_a_wider_format() -> None:
    """Weights that float16 holds give hidden states that it does not; bfloat16 holds them."""
    narrow, wide = engine_of(torch.float16), engine_of(torch.bfloat16)
    for engine in (narrow, wide):
        with torch.no_grad():
            engine.model.model.layers[0].self_attn.v_proj.weight.fill_(3e4)
    with pytest.raises(ModelError, match=r"router of layer 0 .*65504 overflow in float16: choose `dtype=\"bfloat16\"`"):
        routed(narrow, PROMPTS, Generation(1))
    assert len(routed(wide, PROMPTS, Generation(1))) == 3


@pytest.mark.parametrize("model_type", ["minimax_m2", "llama4_text"])
def test_router_logits_that_overflow_to_a_finite_weight_are_refused(model_type: str) -> None:
    """The sigmoid of infinity is 1: experts whose logits overflow tie, and what is selected of them means nothing."""
    for dtype in (torch.float16, torch.bfloat16):
        model = tiny_model(model_type, dtype)
        engine = TransformersEngine(LoadedModel("tiny", model, tokenizer_of_letters()))
        tap = engine.taps[1]
        with torch.no_grad():
            tap.router.get_parameter("weight")[:5] = 6e4
        if dtype == torch.bfloat16:
            assert len(routed(engine, PROMPTS, Generation(3))) == 3
        else:
            said = rf"router of layer {tap.layer} \({tap.path}\).*65504 overflow in float16"
            with pytest.raises(ModelError, match=said):
                routed(engine, PROMPTS, Generation(3))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_router_of_every_layer_is_known(family: str) -> None:
    engine = engine_of(family=family)
    assert all(tap.router is not None and tap.router is not tap.module for tap in engine.taps)


def test_numbers_that_only_padding_spoils_are_refused_together_and_recorded_alone() -> None:
    """Masked attention multiplies padding by 0, and 0 times NaN is NaN."""
    engine = engine_of()
    with torch.no_grad():
        engine.model.get_input_embeddings().weight[token("a")] = torch.nan  # also the padding
    prompts = [Prompt("bcdefgh", "c", "long"), Prompt("bc", "c", "short")]
    with pytest.raises(ModelError, match=r"^prompt 'short' is routed by NaN or infinity beside longer prompts.*=1`$"):
        routed(engine, prompts, Generation(1))
    for prompt in prompts:
        (sequence,) = routed(engine, [prompt], Generation(1))
        assert (sequence.experts >= 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_a_number_is_recorded(family: str) -> None:
    for dtype in (torch.float32, torch.float16):
        for sequence in routed(engine_of(dtype, family), PROMPTS, Generation(3)):
            assert (sequence.experts >= 0).all()
