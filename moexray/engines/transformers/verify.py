"""A causal check on the user's own model: the recorded experts made the logits, and no others did.

Weights are scrambled in place by an operation that is its own inverse (a change of sign, or of all
bits where weights are packed), so they need no copy and come back exactly, at any size and in any
number format. Gate weights or indices could be scrambled instead, but only a change of the experts'
own weights shows that the recorded number is that of the expert which ran.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from moexray.engines.engine import Engine
from moexray.engines.transformers.hooks import Tap, input_device, recorded_selections
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

_TEXTS = ("One, two, three: what comes next, and why?", "Routers.")
_NEW_TOKENS = 4
# Layers whose recorded experts are scrambled one by one; all other experts are scrambled in all layers at once.
_LAYERS = 4
# Share of selections that a batch and a sequence alone must have in common. Another shape of batch rounds
# differently and swaps experts whose scores all but tie: often in half precision, hardly ever above.
_AGREEMENT = {torch.float16: 0.8, torch.bfloat16: 0.8}
_EXACT = 0.99
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

    def tokenize(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the token ids of each prompt."""
        ...


@dataclass(frozen=True)
class Verification:
    """What was checked and held.

    Attributes
    ----------
    tokens
        Tokens whose recording was compared with each sequence alone.
    agreement
        Share of their selections that were the same.
    others, recorded
        Experts that were not recorded, and changed no logit when scrambled; and recorded ones, which did.
    """

    tokens: int
    agreement: float
    others: int
    recorded: int


def verify(engine: HookedEngine) -> Verification:
    """Check on a few tokens that what the engine records is what the model computes with.

    Two prompts of unequal length run in one batch. Each sequence then runs alone, and its selections
    must be those recorded. Then, with single tokens, all experts that were not recorded are scrambled,
    which must not change the logits; and the recorded ones, one by one, which must. In half precision
    an expert of little weight may vanish in rounding, but not all of a layer's.

    Raises
    ------
    ModelError
        If any of this fails, or the weights cannot be told expert by expert.
    """
    prompts = [Prompt(text, category="verify", id=str(i)) for i, text in enumerate(_TEXTS)]
    batches = [[prompt] for prompt in prompts] if engine.batching == "alone" else [prompts]
    sequences = [sequence for batch in batches for _, sequence in engine.run(batch, Generation(_NEW_TOKENS))]
    agreement = _compare_with_alone(engine, prompts, sequences)
    weights = [_by_expert(tap) for tap in engine.taps]
    others = recorded = 0
    for sequence in sequences:
        for token in sequence.token_ids[[0, -1]].tolist():
            selected = [set(rows.flatten().tolist()) - {-1} for rows in _selections(engine, [token])]
            run = partial(_logits, engine.model, [token])
            others += _check_others(engine, run, selected, weights)
            recorded += _check_recorded(engine, run, selected, weights)
    return Verification(sum(len(sequence.token_ids) for sequence in sequences), agreement, others, recorded)


def _compare_with_alone(engine: HookedEngine, prompts: Sequence[Prompt], sequences: Sequence[RoutedSequence]) -> float:
    """Return the share of recorded selections that each sequence alone has too."""
    common = total = 0
    for prompt_ids, sequence in zip(engine.tokenize(prompts), sequences, strict=True):
        ids = sequence.token_ids
        if ids[: sequence.prompt_length].tolist() != prompt_ids or not 0 <= len(ids) - len(prompt_ids) < _NEW_TOKENS:
            message = (
                f"{len(ids)} tokens were recorded for a prompt of {len(prompt_ids)} tokens and up to {_NEW_TOKENS} "
                "generated ones, of which the last is never routed: tokens are counted wrongly"
            )
            raise ModelError(message)
        for place, rows in enumerate(_selections(engine, ids.tolist())):
            alone = rows.cpu().numpy()
            recorded = sequence.experts[:, place, : engine.layout.top_k[place]]
            if alone.shape != recorded.shape:
                message = f"{engine.taps[place].path}: {recorded.shape} was recorded, but alone it gives {alone.shape}"
                raise ModelError(message)
            common += sum(_in_common(one, other) for one, other in zip(alone, recorded, strict=True))
            total += recorded.size
    if common < _AGREEMENT.get(engine.model.dtype, _EXACT) * total:
        message = (
            f"of {total} recorded selections only {common} are those of the same tokens alone: "
            "this model routes a prompt differently in a batch, or tokens are counted wrongly"
        )
        raise ModelError(message)
    return common / total


def _in_common(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    experts = np.union1d(one, other)
    return int(sum(min(np.sum(one == expert), np.sum(other == expert)) for expert in experts))


def _selections(engine: HookedEngine, token_ids: list[int]) -> list[Tensor]:
    with recorded_selections(engine.taps) as recorded:
        _logits(engine.model, token_ids)
    return [torch.cat(rows) for rows in recorded]


@torch.no_grad()
def _logits(model: Any, token_ids: list[int]) -> Tensor:
    tokens = torch.tensor([token_ids], device=input_device(model))
    logits: Tensor = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).logits
    return logits if logits.dtype == torch.float64 else logits.float()


def _check_others(
    engine: HookedEngine, run: Callable[[], Tensor], selected: Sequence[set[int]], weights: Sequence[list[Tensor]]
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
    engine: HookedEngine, run: Callable[[], Tensor], selected: Sequence[set[int]], weights: Sequence[list[Tensor]]
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


def _by_expert(tap: Tap) -> list[Tensor]:
    """Return the tensors of a layer's experts as ``(experts, …)``.

    Raises
    ------
    ModelError
        If they are stored in another order, or are not in memory.
    """
    stacks: list[Tensor] = []
    for holder in tap.holders:
        for name, tensor in [*holder.named_parameters(), *holder.named_buffers()]:
            if tensor.ndim < 2:
                continue
            if tensor.device.type == "meta":
                message = f"{tap.path}.{name} is not in memory: verify the model on one device without offloading"
                raise ModelError(message)
            count = len(tensor) if len(tensor) <= tap.experts else tap.experts
            if len(tensor) % count:
                message = f"{tap.path}.{name} of shape {tuple(tensor.shape)} does not hold {count} experts one by one"
                raise ModelError(message)
            stacks.append(tensor.detach().view(count, len(tensor) // count, *tensor.shape[1:]))
    if not stacks:
        message = f"{tap.path} holds no weights that could be scrambled"
        raise ModelError(message)
    return stacks


def _computing(stacks: Sequence[Tensor]) -> int:
    """Return how many of a layer's experts have all their weights; the choices after them compute nothing."""
    return min(map(len, stacks))


@contextmanager
def _scrambled(weights: Sequence[Sequence[Tensor]], experts: Sequence[set[int]]) -> Iterator[None]:
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
