"""Norms of experts' outputs are those of each expert's own matrices, or are refused by name."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moexray.engines.rules import FixedK
from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.errors import CaptureError, ModelError
from moexray.prompts import Prompt

from ...tiny_models import FAMILIES, olmoe, random_model, tokenizer_of_letters
from .zoo import tiny_model
from .zoo_checks import letters, logits

TEXTS = ("aQwertyUiop", "zXmn")
# Their experts fail where they are run one by one.
REFUSED = {"longcat_flash"}
PROMPTS = [Prompt(text, category="c", id=text) for text in TEXTS]


def engine_of(model: Any) -> TransformersEngine:
    return TransformersEngine(LoadedModel("tiny", model, tokenizer_of_letters()))


def test_norms_are_those_of_a_loop_over_tokens_and_experts() -> None:
    """By hand: each expert's gate, up and down matrices, for each token that selects it."""
    model = random_model(olmoe(), torch.float64)
    seen: list[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for place, layer in enumerate(model.model.layers):
        layer.mlp.experts.register_forward_pre_hook(
            lambda _module, args, place=place: seen.append((place, *(one.clone() for one in args)))
        )
    sums, tokens = np.zeros((3, 12)), np.zeros((3, 12))
    for text in TEXTS:
        logits(model, [tokenizer_of_letters().convert_tokens_to_ids(letter) for letter in text])
    for place, hidden, experts, weights in seen:
        module = model.model.layers[place].mlp.experts
        for row, chosen, gates in zip(hidden, experts, weights, strict=True):
            for expert, gate in zip(chosen.tolist(), gates, strict=True):
                first, second = module.gate_up_proj[expert].matmul(row).chunk(2)
                output = module.down_proj[expert].matmul(nn.functional.silu(first) * second)
                sums[place, expert] += float((gate * output.norm()).detach())
                tokens[place, expert] += 1
    found = engine_of(random_model(olmoe(), torch.float64)).output_norms(PROMPTS)
    np.testing.assert_allclose(found, sums / np.maximum(tokens, 1), rtol=1e-9)
    assert (found[tokens == 0] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_measuring_changes_nothing_of_the_model(family: str, dtype: torch.dtype) -> None:
    engine = engine_of(random_model(FAMILIES[family](), dtype))
    before = [one.losses for _, one in engine.loss(PROMPTS[:1])]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in engine.model.modules()]
    found = engine.output_norms(PROMPTS)
    assert found.shape == (len(engine.layout.layers), max(engine.layout.experts))
    assert np.isfinite(found).all()
    assert (found > 0).any(axis=1).all()
    np.testing.assert_array_equal([one.losses for _, one in engine.loss(PROMPTS[:1])], before)
    assert hooks == [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in engine.model.modules()]


def test_experts_that_do_not_add_up_are_refused_by_name() -> None:
    """As where a module adds something that no expert gives."""
    engine = engine_of(random_model(olmoe(), torch.float32))
    experts = engine.model.model.layers[1].mlp.experts
    plain = experts.forward

    def forward(hidden: Any, chosen: Any, weights: Any) -> Any:
        return plain(hidden, chosen, weights) + 1.0

    experts.forward = forward
    experts.forward.__wrapped__ = plain
    with pytest.raises(ModelError, match=r"norms of layer 1 \(model\.layers\.1\.mlp\.experts\) cannot be measured"):
        engine.output_norms(PROMPTS)


def test_norms_are_not_measured_under_a_rule() -> None:
    engine = engine_of(random_model(olmoe(), torch.float32))
    with engine.ruled(FixedK(2)), pytest.raises(CaptureError, match="not while a rule is carried out"):
        engine.output_norms(PROMPTS)


@pytest.mark.nightly
@pytest.mark.parametrize("model_type", sorted(one.model_type for one in moe_architectures() if one.tap != "refused"))
def test_every_architecture_is_measured_or_refused_by_name(model_type: str) -> None:
    engine = TransformersEngine(LoadedModel("tiny", tiny_model(model_type), letters()))
    if "norms" not in engine.capabilities:
        with pytest.raises(CaptureError, match="does not offer norms for this model"):
            engine.output_norms(PROMPTS)
        return
    if model_type in REFUSED:
        with pytest.raises(ModelError, match="cannot be measured"):
            engine.output_norms(PROMPTS)
        return
    found = engine.output_norms(PROMPTS)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
