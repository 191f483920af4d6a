"""Changes that an engine makes to a model while it is open; each is undone when its block ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import GenerationConfig, PreTrainedModel


@contextmanager
def evaluation_mode(model: PreTrainedModel) -> Iterator[None]:
    """Keep every module in evaluation mode, where nothing drops out."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def greedy_generation(model: PreTrainedModel, end_tokens: frozenset[int], padding: int) -> Iterator[None]:
    """Replace the model's own generation settings, which may ask for sampling or penalties."""
    before = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(end_tokens) or None, pad_token_id=padding
    )
    try:
        yield
    finally:
        model.generation_config = before


@contextmanager
def suitable_experts_implementation(model: PreTrainedModel) -> Iterator[None]:
    """Replace an experts implementation that fails with this model, or needs too much memory."""
    before = model.get_experts_implementation()
    chosen = set(before.values())
    # ``batched_mm`` copies the weights of every token's experts: tens of gigabytes for the prompts of a real model.
    if "batched_mm" in chosen:
        model.set_experts_implementation("grouped_mm")
        chosen = {"grouped_mm"}
    if model.dtype == torch.float64 and "grouped_mm" in chosen:
        model.set_experts_implementation("eager")  # torch's grouped product refuses float64
    try:
        yield
    finally:
        if model.get_experts_implementation() != before:
            model.set_experts_implementation(before)
