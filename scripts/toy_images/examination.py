"""What the toy says of pictures that it was not trained on, and of pictures that belong to other prompts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from toy_images.questions import CAPTION, QUESTIONS, prompt_of
from toy_images.scenes import Scene
from toy_images.sets import at_night, paint_all

LONGEST_ANSWER = 16
_TOGETHER = 48


def examine(model: LlavaForConditionalGeneration, processor: LlavaProcessor, drawn: Sequence[Scene]) -> dict[str, Any]:
    """Return shares of right captions of some scenes: of whole captions, and of each property.

    ``shuffled`` is the control: every caption is compared with the scene of another prompt, as if pictures had been
    shuffled. What is right there, is right by chance.
    """
    dark = at_night(drawn)
    said = captions(model, processor, paint_all(drawn))
    others = np.random.default_rng(0).permutation(len(drawn))
    return {
        "pictures": len(drawn),
        "drawings": right(said, drawn),
        "shuffled": right(said, [drawn[i] for i in others]),
        "night": right(captions(model, processor, paint_all(dark)), dark),
    }


def captions(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, pictures: Sequence[Image.Image]
) -> list[str]:
    """Return what the model writes of each picture, the likeliest token at each step."""
    said: list[str] = []
    for start in range(0, len(pictures), _TOGETHER):
        some = list(pictures[start : start + _TOGETHER])
        prompts = [prompt_of(CAPTION, picture=True)] * len(some)
        inputs = processor(text=prompts, images=[[picture] for picture in some], return_tensors="pt")
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=LONGEST_ANSWER, do_sample=False)
        written = output[:, inputs["input_ids"].shape[1] :]
        said += [text.strip() for text in processor.tokenizer.batch_decode(written, skip_special_tokens=True)]
    return said


def right(said: Sequence[str], shown: Sequence[Scene]) -> dict[str, float]:
    """Return which share of captions is right as a whole, and which names each property of its scene."""
    found = {"caption": [text == scene.caption for text, scene in zip(said, shown, strict=True)]}
    for name in QUESTIONS:
        found[name] = [_names(text, name, scene) for text, scene in zip(said, shown, strict=True)]
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def _names(text: str, name: str, scene: Scene) -> bool:
    """Whether a caption has the property; a place stands at its end, so that middle left is not left."""
    value = str(getattr(scene, name))
    return text.endswith(f" at the {value}") if name == "place" else value in text.split()
