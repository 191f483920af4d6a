"""The recorded experts, and no others, made the logits: shown by destroying weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.generation import Generation
from moexray.prompts import Prompt

from ...tiny_models import TWO_FAMILIES, routed

TEXT = "moexray"


def recorded(loaded: LoadedModel) -> list[set[int]]:
    """Experts recorded for the prompt's own tokens, a set for each MoE layer."""
    prompt = Prompt(TEXT, category="c", id="p")
    (sequence,) = routed(TransformersEngine(loaded), [prompt], Generation(0))
    assert len(sequence.experts) == len(TEXT)
    return [set(np.unique(sequence.experts[:, layer])) for layer in range(sequence.experts.shape[1])]


def experts_modules(loaded: LoadedModel) -> list[Any]:
    return [module for name, module in loaded.model.named_modules() if name.endswith("mlp.experts")]


@torch.no_grad()
def logits(loaded: LoadedModel) -> torch.Tensor:
    ids = torch.tensor([loaded.tokenizer(TEXT)["input_ids"]])
    return loaded.model(ids, use_cache=False).logits


@contextmanager
def garbage_in(module: nn.Module, experts: set[int]) -> Iterator[None]:
    """Overwrite every weight and bias of these experts, and put them back afterwards."""
    saved = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[sorted(experts)] = torch.randn(len(experts), *parameter.shape[1:]).to(parameter) * 100
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(saved[name])


@TWO_FAMILIES
def test_garbage_in_the_experts_not_recorded_leaves_every_bit_of_the_logits(in_float64: LoadedModel) -> None:
    before = logits(in_float64)
    for module, used in zip(experts_modules(in_float64), recorded(in_float64), strict=True):
        unused = set(range(module.num_experts)) - used
        if not unused:
            continue
        with garbage_in(module, unused):
            assert torch.equal(logits(in_float64), before)


@TWO_FAMILIES
def test_some_expert_of_every_family_is_not_recorded(in_float64: LoadedModel) -> None:
    """Without one, the test before this would show nothing."""
    widths = [module.num_experts for module in experts_modules(in_float64)]
    assert any(len(used) < width for used, width in zip(recorded(in_float64), widths, strict=True))


@TWO_FAMILIES
def test_garbage_in_any_recorded_expert_changes_the_logits(in_float64: LoadedModel) -> None:
    before = logits(in_float64)
    for module, used in zip(experts_modules(in_float64), recorded(in_float64), strict=True):
        for expert in used:
            with garbage_in(module, {int(expert)}):
                assert not torch.equal(logits(in_float64), before)
