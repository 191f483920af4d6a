"""Whether a model reads pictures at all: tried on two small ones, since its class does not say.

Some architectures of transformers fail with a picture whatever it shows. Others take pixels and ignore them: their
tokens would be recorded as those of a picture that the model never saw.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from moexray.engines.transformers.failures import FAULTS, is_out_of_memory
from moexray.engines.transformers.hooks import HOW_TO, Tap, recorded_selections
from moexray.errors import ModelError
from moexray.prompts.images import PromptImage, image_in_bytes

# Width and height: not square, so that no code that swaps them works by chance.
_SIZE = (96, 64)

# From a picture to what the model's forward takes for one prompt with it.
Inputs = Callable[[PromptImage], Mapping[str, Any]]


@torch.inference_mode()
def check_images(model: nn.Module, taps: Sequence[Tap], inputs: Inputs) -> None:
    """Run one prompt with each of two pictures, and refuse a model that does not read them or routes them otherwise.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    inputs
        Makes the model's arguments of a prompt with the picture given, on the model's device.

    Raises
    ------
    ModelError
        If the model fails with a picture, gives the same logits for both, or if not every token passes the experts of
        each layer once.
    """
    logits = []
    for picture in _pictures():
        given = inputs(picture)
        tokens = given["input_ids"].numel()
        with recorded_selections(taps) as recorded, faults_explained(model):
            logits.append(_logits(model, given))
        for tap, selections in zip(taps, recorded, strict=True):
            rows = [len(one) for one in selections]
            if rows != [tokens]:
                message = (
                    f"{tokens} tokens of a prompt with a picture passed {tap.path} as {rows or 'no'} rows instead of "
                    f"once each; {HOW_TO}"
                )
                raise ModelError(message)
    if torch.equal(*logits):
        message = (
            f"{type(model).__name__} gives the same logits whatever a picture shows: it does not read pictures, and "
            "none can be recorded with it"
        )
        raise ModelError(message)


@contextmanager
def faults_explained(model: nn.Module) -> Iterator[None]:
    """Say in one sentence that the code of a model, opened to read pictures, is wrong; lack of memory passes.

    Raises
    ------
    ModelError
        If the code fails.
    """
    try:
        yield
    except FAULTS as error:
        if is_out_of_memory(error):
            raise
        cause = str(error).strip().splitlines()
        message = (
            f"{type(model).__name__} of transformers {transformers.__version__} cannot read pictures as its processor "
            f"makes them: its own code fails with {type(error).__name__}: {cause[0] if cause else 'no message'}; its "
            "texts can be recorded without pictures"
        )
        raise ModelError(message) from error


def _pictures() -> tuple[PromptImage, PromptImage]:
    """Return noise, and its negative."""
    width, height = _SIZE
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return _picture(noise), _picture(255 - noise)


def _picture(pixels: NDArray[np.uint8]) -> PromptImage:  # (height, width, 3)
    from PIL import Image  # an extra: a model of text is opened without it

    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return image_in_bytes(written.getvalue(), name="a picture that is tried")


def _logits(model: Any, given: Mapping[str, Any]) -> Tensor:
    found: Tensor = model(**given, use_cache=False).logits
    return found
