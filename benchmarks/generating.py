"""The baselines of capture: generation without a hook, and the usual loop over single prompts."""

from collections.abc import Sequence

import torch

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.taps import find_taps
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.batches import plan_batches


@torch.inference_mode()
def bare_generate(
    loaded: LoadedModel,
    engine: TransformersEngine,
    prompts: Sequence[Prompt],
    generation: Generation,
    batch_tokens: int,
) -> None:
    """Generate in the batches that capture makes, without a hook; the engine only tokenizes."""
    encoded = engine.tokenize(prompts)
    new_tokens = engine.cost_of_generated() * generation.max_new_tokens
    for batch in plan_batches(engine.lengths(prompts, generation), new_tokens, batch_tokens):
        token_ids = [encoded[i] for i in batch]
        width = max(map(len, token_ids))
        input_ids = torch.tensor([[0] * (width - len(ids)) + ids for ids in token_ids])
        attention_mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in token_ids])
        loaded.model.generate(
            input_ids=input_ids, attention_mask=attention_mask, max_new_tokens=generation.max_new_tokens
        )


@torch.inference_mode()
def one_at_a_time(loaded: LoadedModel, prompts: Sequence[Prompt], generation: Generation) -> None:
    """Generate prompt by prompt, with hooks that append every selection to a list: the usual loop."""
    selections: list[torch.Tensor] = []

    def append(_module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        selections.append(args[1].detach().cpu())

    hooks = [tap.module.register_forward_pre_hook(append) for tap in find_taps(loaded.model)]
    for prompt in prompts:
        encoded = loaded.tokenizer(prompt.text, return_tensors="pt")
        loaded.model.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            max_new_tokens=generation.max_new_tokens,
        )
    for hook in hooks:
        hook.remove()
