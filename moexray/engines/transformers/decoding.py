"""Generation in stretches, between which sequences that have ended leave the batch.

`generate` goes on with every sequence of a batch until the last one ends, so most of its work may be for texts that are
over. Here it stops as soon as enough sequences have ended, and goes on with the others from the same cache. Which
tokens are chosen is `generate`'s own affair.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessorList, PreTrainedModel, StoppingCriteria, StoppingCriteriaList
from transformers.utils import ModelOutput

from moexray.engines.transformers.prompt_inputs import BatchInputs, widened
from moexray.errors import ModelError

# Sequences leave together once this share of a batch has ended: each stretch begins with a copy of the cache.
_SHARE_ENDED = 1 / 16
# Layers of these caches are selected by `reorder_cache`, which all of them have.
_KNOWN_LAYERS = "transformers.cache_utils"

# From the places of the sequences that run to what changes their logits.
Processors = Callable[[NDArray[np.int64]], LogitsProcessorList]


@dataclass(frozen=True)
class Stretch:
    """Some forward passes of the same sequences.

    Attributes
    ----------
    rows
        Places of the sequences in the batch.
    start, ran
        The slot of the first token that passed the model, and how many did of each sequence.
    tokens
        All tokens of these sequences, padding and the new ones included ``(rows, slots)``.
    """

    rows: NDArray[np.int64]
    start: int
    ran: int
    tokens: Tensor


class _Ended(StoppingCriteria):  # type: ignore[misc]  # transformers publishes no types
    """Stops at the end of enough sequences, or of all of them; no device waits for it."""

    def __init__(self, end_tokens: Tensor, ended: Tensor, enough: int) -> None:
        self._ended = ended
        self._end_tokens = end_tokens
        self._enough = enough

    def __call__(self, token_ids: Tensor, _scores: object, **_options: object) -> Tensor:
        """Return which sequences stop: ``(sequences,)``."""
        self._ended = self._ended | torch.isin(token_ids[:, -1], self._end_tokens)
        return self._ended | (self._ended.sum() >= self._enough)


def stretches(
    model: PreTrainedModel,
    batch: BatchInputs,
    *,
    new_tokens: int,
    end_tokens: frozenset[int],
    processors: Processors,
) -> Iterator[Stretch]:
    """Generate after left-padded prompts, and yield each stretch when it is over.

    The caller takes what it has heard of a stretch before it asks for the next.

    Parameters
    ----------
    model
        Its generation settings decide how tokens are chosen.
    batch
        The prompts. Their images are seen in the first forward pass, and kept in the cache.
    new_tokens
        The most tokens to generate, at least one.
    end_tokens
        What ends a sequence; empty if nothing does.
    processors
        Makes the logits processors of a stretch.

    Raises
    ------
    ModelError
        If the model generates by code of its own, which does not return what is asked for.
    """
    tokens, mask, with_images = batch.input_ids, batch.attention_mask, batch.with_images
    width, rows = tokens.shape[1], np.arange(len(tokens))
    by_token, more = dict(batch.by_token), {**batch.by_image, **batch.by_token}
    ends = torch.tensor(sorted(end_tokens), device=tokens.device)
    ended = torch.zeros(len(rows), dtype=torch.bool, device=tokens.device)
    _forget_positions(model)
    start, selectable = 0, len(rows) > 1
    while True:
        criterion = _Ended(ends, ended, max(1, int(_SHARE_ENDED * len(rows))) if selectable else len(rows))
        found = model.generate(
            input_ids=tokens,
            attention_mask=mask,
            max_new_tokens=width + new_tokens - tokens.shape[1],
            eos_token_id=sorted(end_tokens) or None,
            logits_processor=processors(rows),
            stopping_criteria=StoppingCriteriaList([criterion] if end_tokens else []),
            return_dict_in_generate=True,
            use_cache=new_tokens > 1,
            **more,
        )
        if not isinstance(found, ModelOutput):
            message = "the model's own `generate` returns tokens without a cache: this model cannot be recorded"
            raise ModelError(message)
        tokens, written = found.sequences, tokens.shape[1]
        yield Stretch(rows, start, tokens.shape[1] - 1 - start, tokens)
        # The criterion may have seen a pass more, which `generate` has undone since: on some devices it stops late.
        ended = ended | torch.isin(tokens[:, written:], ends).any(dim=1)
        kept = ~ended
        if tokens.shape[1] == width + new_tokens or not kept.any():
            return
        start = tokens.shape[1] - 1
        name = "cache" if "cache" in found else "past_key_values"  # transformers 5.24 renamed it
        places = kept.nonzero()[:, 0]
        selectable = selectable and select_sequences(found[name], places)
        _select_positions(model, places if selectable else slice(None), with_images)
        if selectable:
            rows, tokens, mask, with_images = (
                rows[places.cpu().numpy()],
                tokens[places],
                mask[places],
                with_images[places],
            )
            by_token = {one: numbers[places] for one, numbers in by_token.items()}
            ended = torch.zeros(len(rows), dtype=torch.bool, device=tokens.device)
        new = tokens.shape[1] - mask.shape[1]
        mask = torch.nn.functional.pad(mask, (0, new), value=1)
        by_token = {one: widened(numbers, new) for one, numbers in by_token.items()}
        more = {name: found[name], **by_token}


def select_sequences(cache: Any, places: Tensor) -> bool:
    """Keep only these sequences in a cache, and return True; False, and nothing changes, where it is not known how.

    Parameters
    ----------
    cache
        A cache of transformers.
    places
        The sequences ``(kept,)``.
    """
    layers = getattr(cache, "layers", None)
    if layers is None:
        return False
    if type(cache).__module__ != _KNOWN_LAYERS:  # a model's own, with states beside its layers
        if "batch_select_indices" not in vars(type(cache)):
            return False
        cache.batch_select_indices(places)
        return True
    ways = [way for layer in layers if (way := _way_to_select(layer)) is not None]
    if len(ways) < len(layers):
        return False
    for layer, way in zip(layers, ways, strict=True):
        getattr(layer, way)(places)
    return True


def _forget_positions(model: PreTrainedModel) -> None:
    """Forget the offsets of positions of an earlier batch, which models of images hold outside of the cache."""
    for module in model.modules():
        if isinstance(vars(module).get("rope_deltas"), Tensor):
            module.rope_deltas = None


def _select_positions(model: PreTrainedModel, places: Tensor | slice, with_images: Tensor) -> None:
    """Keep the offsets of positions of these sequences.

    Text moves no position forward, though Qwen3-Omni finds an offset of 1 in a padded prompt of one token.

    Parameters
    ----------
    places
        The sequences that are kept.
    with_images
        Which sequences have images, of all before they are selected ``(sequences,)``.
    """
    for module in model.modules():
        offsets = vars(module).get("rope_deltas")
        if isinstance(offsets, Tensor) and len(offsets) == len(with_images):
            kept = places.to(offsets.device) if isinstance(places, Tensor) else places
            of_images = with_images.to(offsets.device).view(-1, *[1] * (offsets.ndim - 1))
            module.rope_deltas = torch.where(of_images, offsets, offsets.clamp(max=0))[kept]


def _way_to_select(layer: Any) -> str | None:
    if type(layer).__module__ == _KNOWN_LAYERS:
        return "reorder_cache"
    return "batch_select_indices" if "batch_select_indices" in vars(type(layer)) else None
