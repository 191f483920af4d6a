"""Prompts of letters with small images, and engines of tiny models that read them."""

import io
from collections.abc import Sequence
from typing import Any

import torch

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.prompts import Prompt
from moexray.prompts.images import PromptImage, image_in_bytes

from .image_zoo import image_model, image_processor, picture, recipe_of

# Columns and rows in pixels: images of unequal numbers of tokens, upright and lying.
SIZES = ((96, 64), (64, 64), (64, 96), (64, 128))


def image(seed: int = 0, size: tuple[int, int] = SIZES[0]) -> PromptImage:
    written = io.BytesIO()
    picture(seed, width=size[0], height=size[1]).save(written, "PNG")
    return image_in_bytes(written.getvalue(), name=f"image {seed}")


def mixed_prompts(name: str, *, seed: int = 0) -> list[Prompt]:
    """Return a prompt with an image, one of text, one with two images of other sizes, and a long one of text."""
    place = recipe_of(name).processor.text
    return [
        Prompt(f"aQ{place}wE", category="a", id="one", images=(image(seed),)),
        Prompt("rtYui", category="b", id="short"),
        Prompt(
            f"{place}wE{place}rtYuuu",
            category="a",
            id="two",
            images=(image(seed + 1, SIZES[1]), image(seed + 2, SIZES[2])),
        ),
        Prompt("mnbvcxzlkjhgfdsapoiuytrewq", category="b", id="long"),
    ]


def reader(name: str, *, ends: Sequence[int] = (), **options: Any) -> TransformersEngine:
    """Return the engine of a tiny model that reads images, whose texts end at these letters."""
    model, processor = image_model(name, torch.float32), image_processor(name)
    model.generation_config.eos_token_id = list(ends) or None
    loaded = LoadedModel(name, model, processor.tokenizer, processor=processor)
    return TransformersEngine(loaded, **{"images": True, **options})
