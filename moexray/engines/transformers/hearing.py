"""What was heard of a batch: the selections of every token, put together from the stretches of its generation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from moexray.engines.transformers.decoding import Processors, stretches
from moexray.engines.transformers.hooks import Tap, input_device, recorded_selections, recorded_weights
from moexray.engines.transformers.prompt_inputs import PromptInputs, batch_of
from moexray.engines.transformers.scores import recorded_scores
from moexray.errors import ModelError


@dataclass(frozen=True)
class Heard:
    """What was heard of a batch, whose prompts are padded on the left to one width.

    A sequence that left the batch early has padding, and no selections, in the slots after that.

    Attributes
    ----------
    width
        Slots of the prompts; what was generated comes after them.
    tokens
        All tokens ``(prompts, slots)``.
    experts
        Selections of all tokens but the last, which passed no router ``(prompts, slots − 1, layers, widest k)``; −1 for
        no selection.
    weights
        Gate weights of the selections; None where they were not asked for.
    scores
        Router scores of all experts ``(prompts, slots − 1, layers, most experts)``, −∞ for one that there is not; None
        where they were not asked for.
    """

    width: int
    tokens: NDArray[np.int32]
    experts: NDArray[np.int16]
    weights: NDArray[np.float16] | None
    scores: NDArray[np.float16] | None


def hear(
    model: PreTrainedModel,
    taps: Sequence[Tap],
    inputs: Sequence[PromptInputs],
    *,
    new_tokens: int,
    end_tokens: frozenset[int],
    padding: int,
    processors: Processors,
    gate_weights: bool,
    router_scores: bool,
    passed: Callable[[int], None] | None = None,
) -> Heard:
    """Generate after prompts, together, and return what was heard.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    inputs
        What the model reads of each prompt.
    new_tokens, end_tokens, processors
        See `moexray.engines.transformers.decoding.stretches`.
    padding
        The token that pads.
    gate_weights, router_scores
        Whether gate weights, and the scores of all experts, are heard as well.
    passed
        Called after each stretch with the number of slots that have passed the model.

    Raises
    ------
    ModelError
        If the experts got other tokens than the model.
    """
    batch = batch_of(inputs, padding, device=input_device(model), dtype=model.dtype)
    stretch_tokens: list[tuple[NDArray[np.int64], Tensor]] = []
    experts: list[_Part] = []
    weights: list[_Part] = []
    scores: list[_Part] = []
    with (
        recorded_scores(model, taps if router_scores else []) as all_scores,
        recorded_selections(taps) as selections,
        recorded_weights(taps if gate_weights else []) as gates,
    ):
        for stretch in stretches(
            model,
            batch,
            new_tokens=new_tokens,
            end_tokens=end_tokens,
            processors=processors,
        ):
            stretch_tokens.append((stretch.rows, stretch.tokens))
            if passed is not None:
                passed(stretch.start + stretch.ran)
            heard = ((selections, -1, experts), (gates, 0, weights), (all_scores, -np.inf, scores))
            for recorded, filling, parts in heard:
                if recorded:
                    values = _by_sequence(recorded, len(stretch.rows), stretch.ran, filling=filling)
                    parts.append(_Part(stretch.rows, stretch.start, values))
    tokens = np.full((len(inputs), stretch_tokens[-1][1].shape[1]), padding, dtype=np.int32)
    for rows, found in stretch_tokens:
        tokens[rows, : found.shape[1]] = found.cpu().numpy()
    shape = len(inputs), tokens.shape[1] - 1
    return Heard(
        batch.input_ids.shape[1],
        tokens,
        _joined(experts, shape, filling=-1),
        _joined(weights, shape, filling=0) if weights else None,
        _joined(scores, shape, filling=-np.inf) if scores else None,
    )


@dataclass(frozen=True)
class _Part:
    """Values of the tokens of one stretch ``(rows, tokens, layers, k)``, the first of which is in slot `start`."""

    rows: NDArray[np.int64]
    start: int
    values: NDArray[Any]


def _by_sequence(recorded: list[list[Tensor]], batch: int, tokens: int, *, filling: float) -> NDArray[Any]:
    """Join each layer's forward passes to ``(batch, tokens, layers, widest k)``, filled beyond a layer's own k.

    The passes are taken out of `recorded`.
    """
    layers = [torch.cat([rows.view(batch, -1, rows.shape[-1]) for rows in passes], dim=1) for passes in recorded]
    for passes in recorded:
        passes.clear()
    # On some devices `generate` looks for the end of a text one pass late, and leaves out the token of that pass.
    late = all(layer.shape[1] == tokens + 1 for layer in layers)
    if not late and any(layer.shape[1] != tokens for layer in layers):
        found = sorted({layer.shape[1] for layer in layers})
        message = f"{tokens} tokens of each sequence ran, but {found} passed the experts: this model cannot be recorded"
        raise ModelError(message)
    widest = max(layer.shape[-1] for layer in layers)
    padded = [
        torch.nn.functional.pad(layer[:, :tokens], (0, widest - layer.shape[-1]), value=filling).to(layers[0].device)
        for layer in layers
    ]
    return torch.stack(padded, dim=2).cpu().numpy()


def _joined(parts: Sequence[_Part], shape: tuple[int, int], *, filling: float) -> NDArray[Any]:
    if len(parts) == 1:
        return parts[0].values
    first = parts[0].values
    joined = np.full((*shape, *first.shape[2:]), filling, dtype=first.dtype)
    for part in parts:
        joined[part.rows, part.start : part.start + part.values.shape[1]] = part.values
    return joined
