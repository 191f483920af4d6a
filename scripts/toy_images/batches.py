"""Training examples: a question on a picture or on its description in words, and the answer."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaProcessor

from toy_images.questions import IMAGE, prompt_of, question_and_answer
from toy_images.scenes import paint, random_scene

IGNORED = -100
# One example in so many has a description in the place of its picture.
IN_WORDS = 4


@dataclass(frozen=True)
class Batch:
    """Examples padded on the right, where causal attention cannot see it.

    Attributes
    ----------
    tokens, labels
        ``(examples, tokens)``; a label of `IGNORED` is no part of an answer.
    kept
        Which tokens are not padding.
    pixels
        ``(pictures, channels, rows, columns)``, in the order of the examples that have one.
    """

    tokens: Tensor
    labels: Tensor
    kept: Tensor
    pixels: Tensor


def training_batch(processor: LlavaProcessor, *, examples: int, step: int, seed: int) -> Batch:
    """Return examples that are a function of seed and step."""
    rng = np.random.default_rng([seed, step])
    prompts, answers, pictures = [], [], []
    for i in range(examples):
        scene = random_scene(rng)
        question, answer = question_and_answer(scene, rng)
        with_picture = i % IN_WORDS > 0
        if with_picture:
            pictures.append(paint(scene, rng))
        else:
            question = f"There is {scene.caption}. {question}"
        prompts.append(prompt_of(question, picture=with_picture))
        answers.append(f" {answer}{processor.tokenizer.eos_token}")
    pixels = processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
    return _padded(processor, prompts, answers, pixels)


def _padded(processor: LlavaProcessor, prompts: list[str], answers: list[str], pixels: Tensor) -> Batch:
    tokenizer = processor.tokenizer
    side = pixels.shape[-1] // processor.patch_size
    given = [tokenizer(text.replace(IMAGE, IMAGE * side**2))["input_ids"] for text in prompts]
    wanted = tokenizer(answers)["input_ids"]
    lengths = [len(prompt) + len(answer) for prompt, answer in zip(given, wanted, strict=True)]
    tokens = torch.full((len(given), max(lengths)), tokenizer.pad_token_id)
    labels = torch.full_like(tokens, IGNORED)
    for row, (prompt, answer) in enumerate(zip(given, wanted, strict=True)):
        tokens[row, : lengths[row]] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : lengths[row]] = torch.tensor(answer)
    return Batch(tokens, labels, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None], pixels)
