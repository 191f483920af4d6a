"""Checks that a recording is true, which share no code with the taps.

The oracle takes what the router modules return, or, where they return only logits, the rule that
their architecture documents; the causal check destroys weights; conservation counts.
"""

import re
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.sharing import ALONE, sharing_of
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.batches import plan_batches
from moexray.recording.checking import check_sequence
from moexray.routing import RoutedSequence, RouterLayout

from ...tiny_models import routed

NEW_TOKENS = 4
TEXTS = ("aQwertyU", "zX", "mnbvC")
# Longer than the windows, chunks and blocks of the zoo, and than what its sparse attention selects.
LONG_TEXTS = ("QwErtYuiopASdfgHjklzxCVbnm" * 3, "k", "mnbvCxzLkjhGfdsaPoiuyTrewq" + "aBcDeFg")
MANY_NEW_TOKENS = 40
HALF_PRECISION: dict[str, Any] = {"rtol": 2e-3, "atol": 1e-6}

# From a router and what it returns to its selections and their weights, both (tokens, k).
Rule = Callable[[nn.Module, Any], tuple[Tensor, Tensor] | None]


def letters() -> PreTrainedTokenizerFast:
    """Each letter is a token."""
    tokenizer = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(string.ascii_letters)}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def record(model: PreTrainedModel, batch_size: int) -> tuple[RouterLayout, list[RoutedSequence]]:
    """Run the prompts through the engine, in the order of `TEXTS`."""
    engine = TransformersEngine(LoadedModel("tiny", model, letters()))
    prompts = [Prompt(text, category="c", id=text) for text in TEXTS]
    generation = Generation(NEW_TOKENS)
    groups = engine.groups(engine.lengths(prompts, generation), generation)
    if len(set(groups.tolist())) > 1 or groups[0] < 0:
        batch_size = 1
    batches = [prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size)]
    return engine.layout, [one for batch in batches for one in routed(engine, batch, generation, want={"weights"})]


def record_long(
    model: PreTrainedModel,
    texts: Sequence[str] = LONG_TEXTS,
    *,
    new_tokens: int = MANY_NEW_TOKENS,
    alone: bool = False,
) -> list[RoutedSequence]:
    """Run texts, those together that the engine lets share a batch, or each `alone`; they return in their order."""
    engine = TransformersEngine(LoadedModel("tiny", model, letters()))
    prompts = [Prompt(text, category="c", id=str(place)) for place, text in enumerate(texts)]
    # A cache that drops tokens later on has no counterpart in one pass.
    written = sharing_of(model.config).written
    generation = Generation(new_tokens if written is None else min(new_tokens, written + 1))
    lengths = engine.lengths(prompts, generation)
    groups = np.full(len(prompts), ALONE) if alone else engine.groups(lengths, generation)
    found: dict[int, RoutedSequence] = {}
    for batch in plan_batches(lengths, generation.max_new_tokens, max(engine.budget(), 1000), groups=groups):
        sequences = routed(engine, [prompts[place] for place in batch], generation)
        found.update(zip(batch, sequences, strict=True))
    return [found[place] for place in range(len(prompts))]


def check_against_one_pass(model: PreTrainedModel, sequence: RoutedSequence, top_k: Sequence[int]) -> None:
    """Compare a sequence that was generated in a batch with one pass alone and without a cache, which is greedy."""
    ids = sequence.token_ids.tolist()
    likeliest = logits(model, ids).argmax(-1).tolist()
    assert likeliest[sequence.prompt_length - 1 : -1] == ids[sequence.prompt_length :]
    for place, (selected, _) in enumerate(routers_say(model, ids)):
        recorded = np.sort(sequence.experts[:, place, : top_k[place]], axis=1)
        np.testing.assert_array_equal(recorded, np.sort(selected, axis=1))


def check_against_routers(model: PreTrainedModel, layout: RouterLayout, sequences: Sequence[RoutedSequence]) -> None:
    """Each prompt alone, without cache and without `generate`, is routed as was recorded."""
    for text, sequence in zip(TEXTS, sequences, strict=True):
        ids = [string.ascii_letters.index(letter) for letter in text]
        for _ in range(NEW_TOKENS):
            ids = [*ids, int(logits(model, ids)[-1].argmax())]
        said = routers_say(model, ids[:-1])
        assert sequence.prompt_length == len(text)
        assert sequence.token_ids.tolist() == ids[:-1]
        assert len(said) == len(layout.layers), "the routers that ran are not the layers recorded"
        for place, (selected, weights) in enumerate(said):
            recorded = sequence.experts[:, place, : layout.top_k[place]]
            np.testing.assert_array_equal(np.sort(recorded, axis=1), np.sort(selected, axis=1), err_msg=text)
            if sequence.gate_weights is not None:
                handed_over = sequence.gate_weights[:, place, : layout.top_k[place]]
                np.testing.assert_allclose(
                    by_expert(recorded, handed_over), by_expert(selected, weights), **HALF_PRECISION, err_msg=text
                )


def by_expert(selected: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:  # (tokens, k)
    """Put weights in the order of their experts; weights of one expert stay in ascending order."""
    order = np.lexsort((weights, selected), axis=1)
    return np.take_along_axis(weights.astype(np.float64), order, axis=1)


def check_conservation(layout: RouterLayout, sequences: Sequence[RoutedSequence]) -> None:
    """Every token is counted once, with k selections in each layer, and no more; a capture takes the sequence."""
    for text, sequence in zip(TEXTS, sequences, strict=True):
        check_sequence(sequence, layout, prompt=text, prompt_tokens=len(text))
        assert len(sequence.experts) == len(text) + NEW_TOKENS - 1
        for place, (experts, k) in enumerate(zip(layout.experts, layout.top_k, strict=True)):
            selected = sequence.experts[:, place]
            assert ((selected >= 0).sum(axis=1) == k).all()
            assert selected.max() < experts


def check_causes(model: PreTrainedModel, layout: RouterLayout, sequence: RoutedSequence) -> int:
    """Garbage in what was not recorded changes no bit of the logits; garbage in anything that was does.

    Returns how many experts were not recorded: without any, nothing would be shown.
    """
    ids = sequence.token_ids.tolist()
    before = logits(model, ids)
    assert torch.isfinite(before).all()
    used = {
        layer: set(np.unique(sequence.experts[:, place]).tolist()) - {-1} for place, layer in enumerate(layout.layers)
    }
    unused = {layer: set(range(layout.experts[place])) - used[layer] for place, layer in enumerate(layout.layers)}
    with garbage_in(model, unused, layout):
        assert torch.equal(logits(model, ids), before), "an expert that was not recorded takes part"
    for layer, experts in used.items():
        for expert in experts:
            with garbage_in(model, {layer: {expert}}, layout) as overwritten:
                changed = not torch.equal(logits(model, ids), before)
            assert changed or not overwritten, f"expert {expert} of layer {layer} was recorded but takes no part"
    return sum(map(len, unused.values()))


@torch.no_grad()
def logits(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """Return the logits of each token of one sequence, run whole."""
    tokens = torch.tensor([ids])
    found: Tensor = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).logits[0]
    return found


def routers_say(model: PreTrainedModel, ids: Sequence[int]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return each router's selections and weights, ``(tokens, k)``; several runs of one router are joined."""
    return routers_during(model, lambda: logits(model, ids))


def routers_during(
    model: PreTrainedModel, run: Callable[[], object]
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return each router's selections and weights in one pass of the model; see `routers_say`."""
    said: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def note(path: str, rule: Rule) -> Callable[[nn.Module, object, Any], None]:
        def hook(module: nn.Module, _args: object, output: Any) -> None:
            found = rule(module, output)
            if found is not None:
                said.setdefault(path, []).append(found)

        return hook

    rules = _rules(model)
    handles = [module.register_forward_hook(note(path, rules[path])) for path, module in routers_of(model)]
    run()
    for handle in handles:
        handle.remove()
    joined = [[torch.cat(parts, dim=1) for parts in zip(*runs, strict=True)] for runs in said.values()]
    return [(selected.numpy(), weights.double().numpy()) for selected, weights in joined]


def routers_of(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """Return the modules that are called a router or a gate, and their names."""
    return [
        (path, module)
        for path, module in model.named_modules()
        if re.search(r"(Router|Gate|TopKGating)$", type(module).__name__)
        and not re.search(r"self_attention|vision_(?!moe)|visual", path)
    ]


def _rules(model: PreTrainedModel) -> dict[str, Rule]:
    rules = {path: RULES.get(type(module).__name__, returned) for path, module in model.named_modules()}
    for path, module in model.named_modules():
        if type(module).__name__ == "DbrxFFN":  # its router does not know k
            rules[f"{path}.router"] = greatest(constant(int(module.top_k)), lambda output: output, softmax)
    return rules


def returned(_module: nn.Module, output: Any) -> tuple[Tensor, Tensor] | None:
    """Most routers return (logits, weights, selected experts); a gate of something else does not."""
    if not isinstance(output, tuple) or len(output) < 3:
        return None
    return output[2], output[1]


def greatest(k_of: Callable[[Any], int], logits_of: Callable[[Any], Tensor], weigh: Callable[[Tensor], Tensor]) -> Rule:
    """Return the rule of a router that selects the k experts with the greatest logits."""

    def rule(module: Any, output: Any) -> tuple[Tensor, Tensor]:
        logits, selected = logits_of(output).topk(k_of(module), dim=-1)
        return selected, weigh(logits)

    return rule


def constant(k: int) -> Callable[[Any], int]:
    """Return a k that no router knows."""
    return lambda _router: k


def softmax(logits: Tensor) -> Tensor:
    """Return weights that sum to one."""
    return logits.softmax(-1)


def zaya(module: Any, output: Any) -> tuple[Tensor, Tensor]:
    """Return the greatest biased probability; the class after the last expert is to skip, with no weight."""
    probabilities = output[0].softmax(-1).float()
    selected = (probabilities + module.balancing_biases).argmax(-1, keepdim=True)
    skipped = selected == probabilities.shape[-1] - 1
    return selected, probabilities.gather(-1, selected).masked_fill(skipped, 0)


RULES: dict[str, Rule] = {
    "JetMoeTopKGating": greatest(lambda router: router.top_k, lambda output: output[4], softmax),
    "Llama4Router": greatest(lambda router: router.top_k, lambda output: output[1], torch.sigmoid),
    "ZayaRouter": zaya,
}


@contextmanager
def garbage_in(model: PreTrainedModel, experts: dict[int, set[int]], layout: RouterLayout) -> Iterator[bool]:
    """Overwrite all weights of these experts of each layer; yield whether there was any, and put them back after."""
    weights: dict[int, list[Tensor]] = {layer: [] for layer in experts}
    for layer, parameter in routed_weights(model):
        if layer in experts:
            count = layout.experts[layout.layers.index(layer)]
            weights[layer].append(parameter.detach().view(min(count, len(parameter)), -1))
    saved = []
    for layer, stacks in weights.items():
        computing = min(map(len, stacks))  # an expert beyond them has no weights: it passes a token on, or skips it
        rows = [expert for expert in experts[layer] if expert < computing]
        for stacked in stacks if rows else ():
            saved.append((stacked, stacked.clone()))
            stacked[rows] = torch.randn(len(rows), stacked.shape[1]).to(stacked) * 100
    try:
        yield bool(saved)
    finally:
        for stacked, original in saved:
            stacked.copy_(original)


def routed_weights(model: PreTrainedModel) -> Iterator[tuple[int, nn.Parameter]]:
    """Yield the layer and each tensor that holds the text decoder's routed experts one after another."""
    elsewhere = ("shared_expert", "vision", "visual", "audio", "router", "self_attention")
    for name, parameter in model.named_parameters():
        found = re.search(r"(?:layers|blocks)\.(\d+)\.(?:.*\bexperts\.|mlp\.(?:input|output)_linear)", name)
        if found and parameter.ndim >= 2 and not any(word in name for word in elsewhere):
            yield int(found[1]), parameter
