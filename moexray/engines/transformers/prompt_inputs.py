"""What a model reads of one prompt: its tokens, and the further tensors of its images; and of a batch of prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moexray.engines.transformers.hooks import input_device
from moexray.recorded_images import RecordedImage
from moexray.routing import with_generated
from moexray.segments import Segment

_TYPES = "token_type_ids"


@dataclass(frozen=True)
class PromptInputs:
    """What a model reads of one prompt.

    Attributes
    ----------
    token_ids
        int32 ``(tokens,)``.
    segments
        int8 ``(tokens,)``: the place of each token's segment in the layout's.
    by_token
        By name, what the model's forward takes beside the tokens, one number each ``(1, tokens)``. Text has 0 in it.
    by_image
        By name, what it takes of the images, one after another: along the first dimension, or in a list.
    images
        What is recorded of the images.
    """

    token_ids: NDArray[np.int32]
    segments: NDArray[np.int8]
    by_token: Mapping[str, Tensor] = field(default_factory=dict)
    by_image: Mapping[str, Tensor | list[Any]] = field(default_factory=dict)
    images: tuple[RecordedImage, ...] = ()

    def __len__(self) -> int:
        return len(self.token_ids)

    def followed_by(self, token_ids: NDArray[np.int32], names: tuple[Segment, ...]) -> "PromptInputs":
        """Return the inputs with text that was written after the prompt; `names` are the layout's segments."""
        return replace(
            self,
            token_ids=np.concatenate([self.token_ids, token_ids]),
            segments=with_generated(self.segments, len(token_ids), names),
            by_token={name: widened(one, len(token_ids)) for name, one in self.by_token.items()},
        )


@dataclass(frozen=True)
class BatchInputs:
    """What a model reads of a batch, padded on the left to one width.

    Attributes
    ----------
    input_ids, attention_mask
        ``(prompts, slots)``; the mask is 0 at padding.
    by_token, by_image
        See `PromptInputs`; ``(prompts, slots)`` and one image after another.
    with_images
        Which prompts have images ``(prompts,)``.
    """

    input_ids: Tensor
    attention_mask: Tensor
    by_token: Mapping[str, Tensor]
    by_image: Mapping[str, Tensor | list[Any]]
    with_images: Tensor


def batch_of(inputs: Sequence[PromptInputs], padding: int, *, device: torch.device, dtype: torch.dtype) -> BatchInputs:
    """Put the inputs of prompts together, on a device; pixels get the number format of the model.

    Parameters
    ----------
    inputs
        Those of prompts of one of `parts_of`.
    padding
        The token that pads.
    """
    width = max(map(len, inputs))
    input_ids = torch.full((len(inputs), width), padding)
    attention_mask = torch.zeros_like(input_ids)
    for row, one in enumerate(inputs):
        input_ids[row, width - len(one) :] = torch.from_numpy(one.token_ids)
        attention_mask[row, width - len(one) :] = 1
    kinds = {name: tensor.dtype for one in inputs for name, tensor in one.by_token.items()}
    by_token = {name: torch.zeros(input_ids.shape, dtype=kind) for name, kind in kinds.items()}
    for row, one in enumerate(inputs):
        for name, tensor in one.by_token.items():
            by_token[name][row, width - len(one) :] = tensor[0]
    names = dict.fromkeys(name for one in inputs for name in one.by_image)
    by_image = {name: _joined([one.by_image[name] for one in inputs if name in one.by_image]) for name in names}
    return BatchInputs(
        input_ids.to(device),
        attention_mask.to(device),
        {name: one.to(device) for name, one in by_token.items()},
        {name: _placed(one, device, dtype) for name, one in by_image.items()},
        torch.tensor([bool(one.images) for one in inputs], device=device),
    )


def arguments_of(inputs: PromptInputs, model: Any) -> dict[str, Any]:
    """Return the arguments of a model's forward for one prompt alone, in one pass."""
    batch = batch_of([inputs], 0, device=input_device(model), dtype=model.dtype)
    of_text = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return {**of_text, **batch.by_token, **batch.by_image}


def parts_of(inputs: Sequence[PromptInputs]) -> list[list[int]]:
    """Return the places of prompts whose images can be put together: those of one shape, and all without images."""
    parts: dict[object, list[int]] = {}
    for place, one in enumerate(inputs):
        if one.images:
            parts.setdefault(_shape(one), []).append(place)
    without = [place for place, one in enumerate(inputs) if not one.images]
    if not parts:
        return [without]
    first, *others = parts.values()
    return [sorted([*first, *without]), *others]


def widened(by_token: Tensor, more: int) -> Tensor:
    """Return numbers of tokens, with those of text after them: ``(rows, tokens + more)``."""
    return torch.nn.functional.pad(by_token, (0, more), value=0)


def is_by_token(name: str) -> bool:
    """Whether a tensor of this name has a number for each token."""
    return name.endswith(_TYPES)


def _joined(parts: Sequence[Tensor | list[Any]]) -> Tensor | list[Any]:
    if isinstance(parts[0], Tensor):
        return torch.cat([one for one in parts if isinstance(one, Tensor)])
    return [one for part in parts for one in part]


def _placed(found: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Return tensors, and those in lists, on a device and fractions in a number format."""
    if isinstance(found, Tensor):
        return found.to(device, dtype if found.is_floating_point() else None)
    return [_placed(one, device, dtype) for one in found] if isinstance(found, list) else found


def _shape(one: PromptInputs) -> object:
    """Return what tensors of images must have in common to be put one after another."""
    return tuple(
        (name, (found.dtype, tuple(found.shape[1:])) if isinstance(found, Tensor) else list)
        for name, found in sorted(one.by_image.items())
    )
