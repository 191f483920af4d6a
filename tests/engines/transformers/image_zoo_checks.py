"""Checks that a recording of prompts with images is true, which share no code with the taps or the engine's inputs.

The oracle is plain transformers: the processor's own inputs of one prompt, one pass without a cache, and what the
routers of `zoo_checks` return in it.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from .image_zoo import recipe_of


def text_of(name: str, *, images: int = 1) -> str:
    """Return a prompt of letters with some images, as the processor of an architecture wants it."""
    return "aQ" + "wE".join([recipe_of(name).processor.text] * images) + "rtY"


def inputs_of(
    model: PreTrainedModel, processor: ProcessorMixin, text: str, pictures: Sequence[Image.Image]
) -> dict[str, Any]:
    """Return the model's inputs for one prompt, as its processor makes them."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of numpy, in ERNIE's processor
        found = processor(text=[text], images=list(pictures) or None, return_tensors="pt")
    return in_dtype(found, model.dtype)


def in_dtype(inputs: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Return inputs with pixels in a model's number format."""
    return {
        name: value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in inputs.items()
    }
