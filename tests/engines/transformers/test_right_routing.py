"""Counts are what the routers decided, by an oracle that shares no code with the engine.

The oracle runs each prompt alone, without a cache and without `generate`: it appends the likeliest
token again and again, then sends the whole sequence through once more and takes the selections that
the router modules returned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence
from moexray.signatures import Signatures

from ...tiny_models import TWO_FAMILIES

pytestmark = pytest.mark.slow

Routed = Callable[[TransformersEngine, Sequence[Prompt], int, int], list[RoutedSequence]]
Recorded = Callable[[TransformersEngine, Sequence[Prompt], int, int], Signatures]

NEW_TOKENS = 6
# Two float32 scores closer than this, of scores of order one, may swap when a batch has another shape.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Alone:
    """One prompt by itself: per MoE layer the experts ``(tokens, k)`` and the gap between kept and left scores."""

    prompt_length: int
    experts: list[Tensor]
    smallest_gap: float

    def counts(self, experts: int) -> np.ndarray:  # (2, layers, experts)
        phases = [slice(None, self.prompt_length), slice(self.prompt_length, None)]
        return np.array(
            [[np.bincount(e[phase].flatten(), minlength=experts) for e in self.experts] for phase in phases]
        )


@torch.no_grad()
def run_alone(loaded: LoadedModel, prompt: Prompt) -> Alone:
    ids = loaded.tokenizer(prompt.text)["input_ids"]
    prompt_length = len(ids)
    for _ in range(NEW_TOKENS):
        ids = [*ids, int(loaded.model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())]
    returned: list[tuple[Tensor, Tensor, Tensor]] = []
    routers = [m for m in loaded.model.modules() if type(m).__name__.lower().endswith("topkrouter")]
    handles = [r.register_forward_hook(lambda _m, _a, output: returned.append(output)) for r in routers]
    loaded.model(torch.tensor([ids[:-1]]), use_cache=False)
    for handle in handles:
        handle.remove()
    assert len(returned) == len(routers) > 0
    return Alone(prompt_length, [experts for _, _, experts in returned], min(gap(*output) for output in returned))


def gap(router_logits: Tensor, _weights: Tensor, experts: Tensor) -> float:
    """Return the least distance, over tokens, between the lowest logit kept and the highest left."""
    kept = torch.zeros_like(router_logits, dtype=torch.bool).scatter(1, experts, value=True)
    lowest = router_logits.masked_fill(~kept, torch.inf).min(1).values
    highest = router_logits.masked_fill(kept, -torch.inf).max(1).values
    return float((lowest - highest).min())


@TWO_FAMILIES
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_capture_counts_what_the_routers_returned_for_each_prompt_alone(
    in_float64: LoadedModel, prompts: list[Prompt], recorded: Recorded, batch_size: int
) -> None:
    signatures = recorded(TransformersEngine(in_float64), prompts, NEW_TOKENS, batch_size)
    for row, prompt in enumerate(prompts):
        expected = run_alone(in_float64, prompt).counts(signatures.counts.shape[3])
        np.testing.assert_array_equal(signatures.counts[row], expected, err_msg=prompt.id)


@TWO_FAMILIES
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_in_float32_only_scores_that_all_but_tie_may_swap(
    in_float32: LoadedModel, prompts: list[Prompt], recorded: Recorded, batch_size: int
) -> None:
    signatures = recorded(TransformersEngine(in_float32), prompts, NEW_TOKENS, batch_size)
    for row, prompt in enumerate(prompts):
        alone = run_alone(in_float32, prompt)
        same = np.array_equal(signatures.counts[row], alone.counts(signatures.counts.shape[3]))
        assert same or abs(alone.smallest_gap) < ROUNDING, prompt.id


def test_every_layer_selects_k_experts_for_every_token(
    in_float64: LoadedModel, prompts: list[Prompt], routed: Routed
) -> None:
    """Conservation, from the sequences themselves: k different experts, none missing, in each layer."""
    engine = TransformersEngine(in_float64)
    for prompt, sequence in zip(prompts, routed(engine, prompts, NEW_TOKENS, 5), strict=True):
        assert len(sequence.experts) == len(prompt.text) + NEW_TOKENS - 1
        for layer, k in enumerate(engine.layout.top_k):
            chosen = np.sort(sequence.experts[:, layer, :k], axis=1)
            assert (chosen >= 0).all()
            assert (np.diff(chosen, axis=1) > 0).all()


def test_the_layout_names_the_moe_layers_only(in_float64: LoadedModel) -> None:
    layers = {"olmoe": (0, 1, 2), "mixtral": (0, 1), "qwen3_moe": (0, 2), "deepseek_v3": (1, 2), "gpt_oss": (0, 1)}
    engine = TransformersEngine(in_float64)
    assert engine.layout.layers == layers[in_float64.name]
    config = in_float64.model.config
    assert set(engine.layout.top_k) == {config.num_experts_per_tok}


@TWO_FAMILIES
def test_the_text_written_does_not_depend_on_the_batch(
    in_float64: LoadedModel, prompts: list[Prompt], recorded: Recorded
) -> None:
    engine = TransformersEngine(in_float64)
    assert (
        recorded(engine, prompts, NEW_TOKENS, 1).prompts.outputs
        == recorded(engine, prompts, NEW_TOKENS, 16).prompts.outputs
    )
