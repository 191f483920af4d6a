"""A tiny model that sees images, opened with its processor, and prompts with pictures of noise beside plain ones."""

from io import BytesIO

import torch

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.prompts import Prompt, image_in_bytes

from ..engines.transformers.image_zoo import image_model, image_processor, picture
from ..engines.transformers.image_zoo_checks import text_of

NAME = "qwen3_vl_moe"


def opened() -> TransformersEngine:
    processor = image_processor(NAME)
    model = image_model(NAME, torch.float64)
    return TransformersEngine(LoadedModel(NAME, model, processor.tokenizer, processor=processor), images=True)


def prompts_with_images(number: int = 8) -> list[Prompt]:
    """Return prompts of two categories, each of which has one without an image."""
    found = []
    for place in range(number):
        stream = BytesIO()
        picture(place, width=64 if place % 3 else 96).save(stream, "PNG")
        category, seen = "ab"[place % 2], place >= 2
        images = (image_in_bytes(stream.getvalue(), name=f"picture {place}"),) if seen else ()
        text = text_of(NAME, images=len(images)) + "abcdefgh"[: 1 + place % 4]
        found.append(Prompt(text, category=category, id=f"p{place}", images=images))
    return found
