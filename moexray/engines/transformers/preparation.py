"""Changes that an engine makes to a model while it is open; each function returns the function that undoes it.

An engine that is forgotten undoes nothing: it might be collected while another engine uses the same model.
"""

from collections.abc import Callable

import torch
from transformers import GenerationConfig, PreTrainedModel

Undo = Callable[[], None]


def set_evaluation_mode(model: PreTrainedModel) -> Undo:
    """Put every module into evaluation mode, where nothing drops out."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()

    def undo() -> None:
        for module, mode in modes:
            module.training = mode

    return undo


def set_greedy_generation(model: PreTrainedModel, end_tokens: frozenset[int], padding: int) -> Undo:
    """Replace the model's own generation settings, which may ask for sampling or penalties."""
    before = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(end_tokens) or None, pad_token_id=padding
    )

    def undo() -> None:
        model.generation_config = before

    return undo


def set_experts_implementation(model: PreTrainedModel) -> Undo:
    """Replace an experts implementation that fails with this model, or needs too much memory."""
    before = model.get_experts_implementation()
    chosen = set(before.values())
    # ``batched_mm`` copies the weights of every token's experts: tens of gigabytes for the prompts of a real model.
    if "batched_mm" in chosen:
        model.set_experts_implementation("grouped_mm")
        chosen = {"grouped_mm"}
    if model.dtype == torch.float64 and "grouped_mm" in chosen:
        model.set_experts_implementation("eager")  # torch's grouped product refuses float64

    def undo() -> None:
        if model.get_experts_implementation() != before:
            model.set_experts_implementation(before)

    return undo
