"""Changes that an engine makes to a model while it is open; each function returns the function that undoes it.

An engine that is forgotten undoes nothing: it might be collected while another engine uses the same model.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

Undo = Callable[[], None]

# Switches of a configuration that add to what a forward pass returns, or give it another form; how they must stand.
_OUTPUTS = {
    "output_router_logits": False,
    "output_hidden_states": False,
    "output_attentions": False,
    "return_dict": True,
}


def unwrapped(model: Any) -> PreTrainedModel:
    """Return the model within a wrapper such as ``DataParallel``, which calls its ``module``."""
    while not isinstance(model, PreTrainedModel) and isinstance(getattr(model, "module", None), torch.nn.Module):
        model = model.module
    return model


def set_evaluation_mode(model: PreTrainedModel) -> Undo:
    """Put every module into evaluation mode, where nothing drops out."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()

    def undo() -> None:
        for module, mode in modes:
            module.training = mode

    return undo


def changed_outputs(model: PreTrainedModel) -> list[str]:
    """Return the switches of the model's configuration that `set_plain_outputs` changes."""
    return sorted({name for _, name in _unplain_outputs(model)})


def set_plain_outputs(model: PreTrainedModel) -> Undo:
    """Switch off outputs that fine-tuning asks for, such as router logits: a batch fails with them."""
    changed = list(_unplain_outputs(model))
    for config, name in changed:
        setattr(config, name, _OUTPUTS[name])

    def undo() -> None:
        for config, name in changed:
            setattr(config, name, not _OUTPUTS[name])

    return undo


def _unplain_outputs(model: PreTrainedModel) -> Iterator[tuple[Any, str]]:
    """Yield each configuration of a part of the model, and the name of a switch that stands wrongly in it."""
    found = [getattr(module, "config", None) for module in model.modules()]
    configs = {id(config): config for config in found if config is not None}
    for config in configs.values():
        for name, plain in _OUTPUTS.items():
            if bool(getattr(config, name, plain)) != plain:
                yield config, name


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
