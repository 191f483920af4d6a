"""Traces of prompts with pictures whose grid of tokens is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from moexray.recorded_images import RecordedImage, text_of_images
from moexray.signatures import Signatures
from moexray.trace import Trace

from . import made

Pictures = Callable[[int, int], list[RecordedImage]]


def one_row(prompt: int, tokens: int) -> list[RecordedImage]:
    """Return a prompt's picture, whose tokens stand in one row, or in two if their number is even."""
    rows = 2 - tokens % 2
    return [RecordedImage(f"pictures/{prompt}.png", "0" * 64, 8 * tokens, 8 * rows, tokens, rows, tokens // rows)]


def pictured(path: Path, pictures: Pictures = one_row, *, prompts: int = 8) -> Trace:
    """Write a trace in which three of four prompts hold image tokens, and say which pictures these are of."""
    signatures = made.trace(path, prompts=prompts, layers=(0, 3, 4, 7), experts=12, images=True)
    return Trace.open(path, recorded(signatures, pictures))


def recorded(signatures: Signatures, pictures: Pictures) -> Signatures:
    """Return the signatures with a column of the pictures of each prompt."""
    tokens = signatures.tokens[:, 1].tolist()
    column = [text_of_images(pictures(prompt, n)) if n else "" for prompt, n in enumerate(tokens)]
    return signatures.replace(prompts=replace(signatures.prompts, columns={"images": column}))
