"""Tiny processors of image-text models, offline: a tokenizer of letters, and pictures of a few tokens.

Some need torchvision: for all pictures, where transformers has no image processor for Pillow, or for a part that sees
videos alone. Without it the former have a stand-in that cuts a picture into patches, and gives what the model asks for
in the shapes of the real one; the latter one that sees nothing.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BatchFeature, PreTrainedTokenizerFast, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import is_torchvision_available

# What tokenizers call the tokens around and in place of pictures, and what they are here.
TOKENS = {
    "image_token": "<image>",
    "image_start_token": "<image_start>",
    "image_end_token": "<image_end>",
    "video_token": "<video>",
    "video_start_token": "<video_start>",
    "video_end_token": "<video_end>",
    "audio_token": "<audio>",
    "audio_start_token": "<audio_start>",
}


# Modules of the processors that transformers hides without torchvision, though Pillow is enough for them.
_HIDDEN = {"PixtralProcessor": "transformers.models.pixtral.processing_pixtral"}


@dataclass(frozen=True)
class ProcessorRecipe:
    """How an architecture's processor is made small.

    Attributes
    ----------
    kind, images
        The classes of the processor, and of its image processor.
    sizes, settings
        Values of the image processor, and of the processor.
    tokens
        Tokens that it calls otherwise than `TOKENS`, or beside them.
    text
        What stands for a picture in a prompt.
    audio, video
        The classes of the parts for sound and for videos, where there are some.
    patches
        Makes what the image processor would, where it needs torchvision.
    """

    kind: str
    images: str
    sizes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    text: str = "<image_start><image><image_end>"
    audio: str = ""
    video: str = ""
    patches: "Callable[[Sequence[NDArray[Any]], Mapping[str, Any]], dict[str, Any]] | None" = None

    @property
    def needs_torchvision(self) -> bool:
        """Whether pictures cannot be read without torchvision."""
        return not self.images.endswith("Pil")


def processor_of(recipe: ProcessorRecipe) -> ProcessorMixin:
    """Return the processor of a recipe; without torchvision, with stand-ins."""
    kind = _class_of(recipe.kind)
    if is_torchvision_available() or not recipe.needs_torchvision:
        images = getattr(transformers, recipe.images)(**recipe.sizes)
    else:
        images = _StandIn(recipe)
    parts = {"image_processor": images, "tokenizer": tokenizer_of(recipe.tokens)}
    if recipe.video:
        parts["video_processor"] = getattr(transformers, recipe.video)() if is_torchvision_available() else _no_video()
    if recipe.audio:
        parts["feature_extractor"] = getattr(transformers, recipe.audio)()
    with nullcontext() if is_torchvision_available() else patch.object(kind, "check_argument_for_proper_class"):
        processor: ProcessorMixin = kind(**parts, **recipe.settings)
    return processor


def _class_of(name: str) -> Any:
    """Return a class of processors, also where transformers hides it since its module imports torchvision."""
    if is_torchvision_available() or name not in _HIDDEN:
        return getattr(transformers, name)
    with patch("transformers.utils.is_vision_available", return_value=False):
        return getattr(import_module(_HIDDEN[name]), name)


def tokenizer_of(tokens: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """Each letter is a token; after them come `TOKENS`, but for those that `tokens` names otherwise or adds."""
    named = {**TOKENS, **tokens}
    written = [*string.ascii_letters, *dict.fromkeys(named.values())]
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(written)}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    padding = named.pop("pad_token", None)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=padding, extra_special_tokens=named)


class _StandIn(BaseImageProcessor):  # type: ignore[misc]  # transformers publishes no types
    """Cuts pictures into patches as a recipe says."""

    def __init__(self, recipe: ProcessorRecipe) -> None:
        super().__init__()
        self._recipe = recipe
        for name, value in recipe.sizes.items():
            setattr(self, name, value)

    def __call__(self, images: Any, *_args: object, **_options: object) -> BatchFeature:
        pictures = [np.asarray(picture, dtype=np.float32) / 127.5 - 1 for picture in _flat(images)]
        assert self._recipe.patches is not None
        return BatchFeature(self._recipe.patches(pictures, self._recipe.sizes))


def _flat(images: Any) -> list[Any]:
    return [one for part in images for one in _flat(part)] if isinstance(images, list | tuple) else [images]


def _no_video() -> Any:
    """Return a part for videos that is never called."""
    return SimpleNamespace(merge_size=2, model_input_names=[])


def grid(picture: NDArray[Any], size: int, multiple: int = 1) -> NDArray[Any]:  # (rows, columns, size, size, 3)
    """Cut a picture into squares, as many as it holds, with its last row and column repeated to a multiple of them."""
    step = size * multiple
    height, width = (-(-side // step) * step for side in picture.shape[:2])
    padded = np.pad(picture, ((0, height - len(picture)), (0, width - picture.shape[1]), (0, 0)), mode="edge")
    cut = padded.reshape(height // size, size, width // size, size, 3)
    return cut.transpose(0, 2, 1, 3, 4)


def flat_patches(
    size: int, *, times: int = 1, name: str = "image_grid_thw", stacked: bool = True
) -> Callable[[Sequence[NDArray[Any]], Mapping[str, Any]], dict[str, Any]]:
    """Return the way to patches of all pictures in one tensor, with the rows and columns of each picture."""

    def patches(pictures: Sequence[NDArray[Any]], _sizes: Mapping[str, Any]) -> dict[str, Any]:
        cut = [grid(picture, size, 2) for picture in pictures]
        pixels = np.concatenate([one.reshape(-1, size, size, 3) for one in cut]).transpose(0, 3, 1, 2)  # (n, 3, …)
        if stacked:
            pixels = np.repeat(pixels[:, :, None], times, axis=2).reshape(len(pixels), -1)
        shapes = [[*([1] if name.endswith("thw") else []), *one.shape[:2]] for one in cut]
        return {"pixel_values": torch.tensor(pixels), name: torch.tensor(shapes)}

    return patches


def inkling_patches(pictures: Sequence[NDArray[Any]], _sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return two equal frames of each patch of Inkling."""
    cut = [grid(picture, 40).reshape(-1, 40, 40, 3) for picture in pictures]
    pixels = np.repeat(np.concatenate(cut)[:, None], 2, axis=1)
    return {"pixel_values": torch.tensor(pixels), "num_patches": torch.tensor([len(one) for one in cut])}


def inkling2_patches(pictures: Sequence[NDArray[Any]], _sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patches of Inkling 2."""
    cut = [grid(picture, 40) for picture in pictures]
    pixels = np.concatenate([one.reshape(-1, 40, 40, 3) for one in cut])
    return {"pixel_values": torch.tensor(pixels), "image_grid_thw": torch.tensor([[1, *one.shape[:2]] for one in cut])}


def llama4_tiles(pictures: Sequence[NDArray[Any]], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return two rows of two tiles of each picture, and a view of the whole."""
    side = sizes["size"]["height"]
    tiles = [
        part
        for picture in pictures
        for part in (*grid(_resized(picture, 2 * side, 2 * side), side).reshape(4, side, side, 3), None)
    ]
    whole = iter([_resized(picture, side, side) for picture in pictures])
    pixels = np.stack([next(whole) if part is None else part for part in tiles]).transpose(0, 3, 1, 2)
    return {"pixel_values": torch.tensor(pixels), "aspect_ratios": torch.tensor([[2, 2]] * len(pictures))}


def views(side: int, tile: int, *, with_grid: bool) -> Any:
    """Return the way to a view of each whole picture, and to two rows of three tiles of it."""

    def patches(pictures: Sequence[NDArray[Any]], _sizes: Mapping[str, Any]) -> dict[str, Any]:
        whole = np.stack([_resized(picture, side, side) for picture in pictures])
        tiles = np.concatenate([grid(_resized(picture, 2 * tile, 3 * tile), tile) for picture in pictures])
        found: dict[str, Any] = {
            "pixel_values": torch.tensor(whole.transpose(0, 3, 1, 2)),
            "pixel_values_local": torch.tensor(tiles.reshape(-1, tile, tile, 3).transpose(0, 3, 1, 2)),
        }
        numbers = [6] * len(pictures)
        if with_grid:
            return {**found, "num_local_patches": numbers, "patches_grid": [[3, 2]] * len(pictures)}
        newlines = [[False, False, True, False, False, False]] * len(pictures)
        return {**found, "num_local_patches": torch.tensor(numbers), "patch_newline_masks": newlines}

    return patches


def _resized(picture: NDArray[Any], height: int, width: int) -> NDArray[Any]:  # (height, width, 3)
    rows, columns = np.arange(height) * picture.shape[0] // height, np.arange(width) * picture.shape[1] // width
    return picture[rows][:, columns]
