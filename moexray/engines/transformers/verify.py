"""A causal check on the user's own model: the recorded experts made the logits, and no others did.

Weights are scrambled in place by an operation that is its own inverse (a change of sign, or of all
bits where weights are packed), so they need no copy and come back exactly, at any size and in any
number format. Gate weights or indices could be scrambled instead, but only a change of the experts'
own weights shows that the recorded number is that of the expert which ran.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from moexray.engines.engine import Engine
from moexray.engines.transformers.hooks import Tap, input_device, recorded_selections
from moexray.engines.transformers.prompt_inputs import PromptInputs, arguments_of
from moexray.engines.transformers.stepwise import selections_step_by_step
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

_TEXTS = ("One, two, three: what comes next, and why?", "Routers.")
# Without a capture's own number, and the most of it: what a check tries is to take no longer than a few batches.
_NEW_TOKENS, _MOST_NEW_TOKENS = 4, 256
# Layers whose recorded experts are scrambled one by one; all other experts are scrambled in all layers at once.
_LAYERS = 4
# Share of a prompt's selections that its batch and the prompt alone must have in common, and how many more may differ.
# Another shape of batch rounds differently and swaps experts whose scores all but tie: often in half precision, hardly
# ever above.
_AGREEMENT = {torch.float16: (0.8, 4), torch.bfloat16: (0.8, 4)}
_EXACT = (0.99, 1)
# A tensor of each of a layer's experts.
_Stack = Sequence[Tensor]
_ADVICE = "the recording of this model is not its routing; please report it with the model's name"


class HookedEngine(Engine, Protocol):
    """An engine whose model, taps and tokens can be reached."""

    @property
    def model(self) -> PreTrainedModel:
        """The model that runs."""
        ...

    @property
    def taps(self) -> Sequence[Tap]:
        """The tap of each layer of the layout."""
        ...

    @property
    def placeholders(self) -> frozenset[int]:
        """The token ids that stand for a part of an image."""
        ...

    def prompt_inputs(self, prompts: Sequence[Prompt]) -> list[PromptInputs]:
        """Return what the model reads of each prompt."""
        ...


@dataclass(frozen=True)
class Verification:
    """What was checked and held.

    Attributes
    ----------
    prompts, longest, new_tokens
        How many prompts ran, tokens of the longest, and the most tokens after one that passed the routers.
    tokens
        Tokens whose recording was compared with each sequence alone.
    agreement
        Share of their selections that were the same.
    others, recorded
        Experts that were not recorded, and changed no logit when scrambled; and recorded ones, which did.
    images
        Prompts with images among them.
    """

    prompts: int
    longest: int
    new_tokens: int
    tokens: int
    agreement: float
    others: int
    recorded: int
    images: int = 0


def verify(
    engine: HookedEngine, batches: Sequence[Sequence[Prompt]] = (), generation: Generation | None = None
) -> Verification:
    """Check on a few batches that what the engine records is what the model computes with.

    Each batch runs as in a capture, with at most 256 new tokens. Each of its sequences then runs alone, and its
    selections must be those recorded. Then, with single tokens, all experts that were not recorded are scrambled, which
    must not change the logits; and the recorded ones, one by one, which must. So with tokens of an image, in the
    shortest prompt that has one. In half precision an expert of little weight may vanish in rounding, but not all of a
    layer's.

    Parameters
    ----------
    engine
        The engine.
    batches
        The prompts of each batch; by default two short prompts of unequal length, together if the engine allows it.
    generation
        What is generated after each; by default four tokens.

    Raises
    ------
    ModelError
        If any of this fails, or the weights cannot be told expert by expert.
    """
    generation = Generation(_NEW_TOKENS) if generation is None else generation
    generation = replace(generation, max_new_tokens=min(generation.max_new_tokens, _MOST_NEW_TOKENS))
    batches = batches or _own_batches(engine, generation)
    prompts = [prompt for batch in batches for prompt in batch]
    sequences: list[RoutedSequence] = []
    for batch in batches:
        found = dict(engine.run(batch, generation))
        sequences += [found[place] for place in range(len(batch))]
    inputs = engine.prompt_inputs(prompts)
    agreement = _compare_with_alone(engine, prompts, inputs, sequences, generation)
    weights = [_by_expert(tap) for tap in engine.taps]
    others = recorded = 0
    for sequence in (sequences[0], sequences[len(batches[0]) - 1]):
        for token in sequence.token_ids[[0, -1]].tolist():
            alone = PromptInputs(np.array([token], dtype=np.int32), np.zeros(1, dtype=np.int8))
            checked = _check_experts(engine, alone, np.zeros(1, dtype=np.int64), weights)
            others, recorded = others + checked[0], recorded + checked[1]
    shortest = min((one for one in inputs if one.images), key=len, default=None)
    if shortest is not None:
        places = np.flatnonzero(np.isin(shortest.token_ids, list(engine.placeholders)))
        checked = _check_experts(engine, shortest, places[[0, -1]], weights)
        others, recorded = others + checked[0], recorded + checked[1]
    return Verification(
        prompts=len(prompts),
        longest=max(sequence.prompt_length for sequence in sequences),
        new_tokens=max(len(sequence.token_ids) - sequence.prompt_length for sequence in sequences),
        tokens=sum(len(sequence.token_ids) for sequence in sequences),
        agreement=agreement,
        others=others,
        recorded=recorded,
        images=sum(bool(one.images) for one in inputs),
    )


def _check_experts(
    engine: HookedEngine, inputs: PromptInputs, places: NDArray[np.int64], weights: Sequence[list[_Stack]]
) -> tuple[int, int]:
    """Return how many experts that no token of a prompt selects, and how many that some do, were checked.

    Parameters
    ----------
    inputs
        What the model reads.
    places
        Where tokens stand whose experts must show in their own logits.
    weights
        What `_by_expert` returned for each layer.
    """
    rows = [one.cpu().numpy() for one in _selections(engine, inputs)]
    run = partial(_logits, engine.model, inputs, places)
    every, own = ([set(one[some].flatten().tolist()) - {-1} for one in rows] for some in (slice(None), places))
    return _check_others(engine, run, every, weights), _check_recorded(engine, run, own, weights)


def _own_batches(engine: HookedEngine, generation: Generation) -> list[list[Prompt]]:
    prompts = [Prompt(text, category="verify", id=f"check-{place}") for place, text in enumerate(_TEXTS)]
    groups = engine.groups(engine.lengths(prompts, generation), generation)
    together = engine.batching != "alone" and len(set(groups.tolist())) == 1 and groups[0] >= 0
    return [prompts] if together else [[prompt] for prompt in prompts]


def _compare_with_alone(
    engine: HookedEngine,
    prompts: Sequence[Prompt],
    inputs: Sequence[PromptInputs],
    sequences: Sequence[RoutedSequence],
    generation: Generation,
) -> float:
    """Return the share of recorded selections that each sequence alone has too."""
    common = total = 0
    share, more = _AGREEMENT.get(engine.model.dtype, _EXACT)
    for prompt, given, sequence in zip(prompts, inputs, sequences, strict=True):
        prompt_ids = given.token_ids.tolist()
        ids, most = sequence.token_ids, generation.max_new_tokens
        written = len(ids) - len(prompt_ids)
        within = written >= 0 and (written < max(1, most) or prompt.output is not None)
        if ids[: sequence.prompt_length].tolist() != prompt_ids or not within:
            message = (
                f"{len(ids)} tokens were recorded for a prompt of {len(prompt_ids)} tokens and up to {most} "
                "generated ones, of which the last is never routed: tokens are counted wrongly"
            )
            raise ModelError(message)
        whole = given.followed_by(ids[len(prompt_ids) :], engine.layout.segments)
        # One pass would take a placeholder that the model wrote for a part of an image.
        wrote_image = bool(given.images) and np.isin(ids[len(prompt_ids) :], list(engine.placeholders)).any()
        same = 0 if wrote_image else _in_common_with(engine, sequence, _selections(engine, whole))
        selections = sum(len(ids) * k for k in engine.layout.top_k)
        allowed = more + (1 - share) * selections
        if selections - same > allowed and len(ids) > len(prompt_ids):
            # Some caches drop tokens as they are generated, which a single pass does not show.
            stepwise = selections_step_by_step(engine.model, engine.taps, given, ids)
            same = max(same, _in_common_with(engine, sequence, stepwise))
        if selections - same > allowed:
            message = (
                f"prompt {prompt.id!r}: of {selections} recorded selections only {same} are those of the same tokens "
                "alone: this model routes a prompt differently in a batch, or tokens are counted wrongly"
            )
            raise ModelError(message)
        common += same
        total += selections
    return common / total


def _in_common_with(engine: HookedEngine, sequence: RoutedSequence, selections: Sequence[Tensor]) -> int:
    """Return how many recorded selections of a sequence are among those of each tap ``(tokens, k)``."""
    common = 0
    for place, rows in enumerate(selections):
        alone = rows.cpu().numpy()
        recorded = sequence.experts[:, place, : engine.layout.top_k[place]]
        if alone.shape != recorded.shape:
            message = f"{engine.taps[place].path}: {recorded.shape} was recorded, but alone it gives {alone.shape}"
            raise ModelError(message)
        common += _in_common(alone, recorded)
    return common


def _in_common(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    """Return how many experts two tables of selections ``(tokens, k)`` share, token by token."""
    common = 0
    for expert in np.union1d(one, other):
        common += int(np.minimum((one == expert).sum(axis=1), (other == expert).sum(axis=1)).sum())
    return common


def _selections(engine: HookedEngine, inputs: PromptInputs) -> list[Tensor]:
    """Return the selections of each tap when a sequence runs alone, in one pass and without a cache."""
    with recorded_selections(engine.taps) as recorded:
        _logits(engine.model, inputs)
    return [torch.cat(rows) for rows in recorded]


@torch.no_grad()
def _logits(model: Any, inputs: PromptInputs, places: NDArray[np.int64] | None = None) -> Tensor:
    """Return the logits of tokens at some places, or of all where a model gives no fewer ``(1, tokens, vocabulary)``.

    By default those of the last token.
    """
    few: dict[str, Any] = {}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        last = places is None or len(inputs) == 1
        few["logits_to_keep"] = 1 if last else torch.as_tensor(places, device=input_device(model))
    logits: Tensor = model(**arguments_of(inputs, model), use_cache=False, **few).logits
    return logits if logits.dtype == torch.float64 else logits.float()


def _check_others(
    engine: HookedEngine, run: Callable[[], Tensor], selected: Sequence[set[int]], weights: Sequence[list[_Stack]]
) -> int:
    """Scramble every expert that was not recorded, in all layers at once; if the logits change, find the layer."""
    others = [set(range(_computing(stacks))) - recorded for stacks, recorded in zip(weights, selected, strict=True)]
    before, noise = _with_noise(run)
    with _scrambled(weights, others):
        changed = _differs(run(), before, noise)
    if changed:
        for tap, stacks, experts in zip(engine.taps, weights, others, strict=True):
            with _scrambled([stacks], [experts]):
                if _differs(run(), before, noise):
                    message = f"{tap.path}: experts that were not recorded take part in the logits: {_ADVICE}"
                    raise ModelError(message)
        message = f"experts that were not recorded take part in the logits: {_ADVICE}"
        raise ModelError(message)
    return sum(map(len, others))


def _check_recorded(
    engine: HookedEngine, run: Callable[[], Tensor], selected: Sequence[set[int]], weights: Sequence[list[_Stack]]
) -> int:
    """Scramble the recorded experts of some layers one by one: each must show, in half precision one a layer."""
    before, noise = _with_noise(run)
    effects = 0
    for place in sorted(set(np.linspace(0, len(selected) - 1, _LAYERS).astype(int).tolist())):
        experts = sorted(expert for expert in selected[place] if expert < _computing(weights[place]))
        silent = []
        for expert in experts:
            with _scrambled([weights[place]], [{expert}]):
                if not _differs(run(), before, noise):
                    silent.append(expert)
        half = engine.model.dtype in _AGREEMENT
        if len(silent) == len(experts) > 0 or (silent and not half):
            message = (
                f"{engine.taps[place].path}: experts {silent} were recorded but take no part in the logits: {_ADVICE}"
            )
            raise ModelError(message)
        effects += len(experts) - len(silent)
    return effects


def _with_noise(run: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Return the logits, and their spread over repetitions: not 0 where sums run in any order."""
    first = run()
    return first, 4 * max(float((run() - first).abs().max()) for _ in range(2))


def _differs(logits: Tensor, before: Tensor, noise: float) -> bool:
    return not bool(((logits - before).abs() <= noise).all())  # NaN counts as a difference


def _by_expert(tap: Tap) -> list[_Stack]:
    """Return the tensors of a layer's experts, each as one for each expert.

    Raises
    ------
    ModelError
        If they are stored in another order, or are not in memory.
    """
    ends = (*tap.starts[1:], tap.experts)
    numbers = [end - start for start, end in zip(tap.starts, ends, strict=True)] if tap.starts else []
    groups = [
        _stacks_of(tap, holder, number)
        for holder, number in zip(tap.holders, numbers or [tap.experts] * len(tap.holders), strict=True)
    ]
    if not all(groups) or not groups:
        message = f"{tap.path} holds no weights that could be scrambled"
        raise ModelError(message)
    if not numbers:
        return [list(stack) for group in groups for stack in group.values()]
    return [[expert for group in groups for expert in group[name]] for name in groups[0]]


def _stacks_of(tap: Tap, holder: nn.Module, experts: int) -> dict[str, Tensor]:
    """Return the tensors of the experts that one module holds, by name, as ``(experts, …)``."""
    stacks: dict[str, Tensor] = {}
    for name, tensor in [*holder.named_parameters(), *holder.named_buffers()]:
        if tensor.ndim < 2:
            continue
        if tensor.device.type == "meta":
            message = f"{tap.path}.{name} is not in memory: verify the model on one device without offloading"
            raise ModelError(message)
        count = len(tensor) if len(tensor) <= experts else experts
        if len(tensor) % count:
            message = f"{tap.path}.{name} of shape {tuple(tensor.shape)} does not hold {count} experts one by one"
            raise ModelError(message)
        stacks[name] = tensor.detach().view(count, len(tensor) // count, *tensor.shape[1:])
    return stacks


def _computing(stacks: Sequence[_Stack]) -> int:
    """Return how many of a layer's experts have all their weights; the choices after them compute nothing."""
    return min(map(len, stacks))


@contextmanager
def _scrambled(weights: Sequence[Sequence[_Stack]], experts: Sequence[set[int]]) -> Iterator[None]:
    done: list[Tensor] = []
    try:
        for stacks, chosen in zip(weights, experts, strict=True):
            for stack in stacks:
                for expert in chosen:
                    _flip(stack[expert])
                    done.append(stack[expert])
        yield
    finally:
        for tensor in done:
            _flip(tensor)


@torch.no_grad()
def _flip(tensor: Tensor) -> None:
    """Change the sign of every number, or all bits of packed ones; a second call restores the tensor bit by bit."""
    if tensor.dtype.itemsize == 1:
        bits = tensor.view(torch.uint8)
        bits.bitwise_xor_(0x80 if tensor.is_floating_point() else 0xFF)
    elif tensor.is_floating_point():
        tensor.neg_()
    else:
        tensor.bitwise_not_()
