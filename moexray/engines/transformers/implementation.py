"""Which of transformers' ways to compute experts runs: one that works in this number format, and fits into memory."""

import torch
from transformers import PreTrainedModel


def choose_implementation(model: PreTrainedModel) -> None:
    """Put another implementation in the place of one that fails, or that no real model has the memory for."""
    chosen = set(model.get_experts_implementation().values())
    # ``batched_mm`` copies the weights of every token's experts: tens of gigabytes for the prompts of a real model.
    if "batched_mm" in chosen:
        model.set_experts_implementation("grouped_mm")
        chosen = {"grouped_mm"}
    if model.dtype == torch.float64 and "grouped_mm" in chosen:
        model.set_experts_implementation("eager")  # torch's grouped product refuses float64


def note_implementations(experts: torch.nn.Module) -> set[str]:
    """Return a set that gathers what computes these experts: transformers may change it on its way."""
    found: set[str] = set()

    def note(module: torch.nn.Module, _args: object) -> None:
        config = getattr(module, "config", None)
        found.add(getattr(config, "_experts_implementation", None) or "eager")

    experts.register_forward_pre_hook(note)
    return found
