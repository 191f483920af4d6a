"""How many tokens stand for each image of a prompt, and in which grid, where a processor tells it."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Grid = tuple[int, int]  # rows, columns

# No colour that pads: not black, white or grey, and none of its channels like another.
_COLOUR = (211, 67, 13)


def grids_of(processor: Any, encoded: Mapping[str, Any]) -> list[Grid] | None:
    """Return the grid of the tokens of each image; None where it is not known, or does not cover the whole image.

    Parameters
    ----------
    processor
        A processor of transformers.
    encoded
        What it made of one prompt.
    """
    counted = encoded.get("image_grid_thw")  # patches in time, height and width
    if isinstance(counted, Tensor) and counted.ndim == 2 and counted.shape[1] == 3:
        merged = getattr(processor.image_processor, "merge_size", None)
        if not isinstance(merged, int) or (counted[:, 0] != 1).any():
            return None
        return [(rows // merged, columns // merged) for _, rows, columns in counted.tolist()]
    counted = encoded.get("image_grid_hw")
    if isinstance(counted, Tensor) and counted.ndim == 2 and counted.shape[1] == 2:
        shrunk = getattr(processor.image_processor, "downsample_ratio", None)
        merged = round(1 / shrunk) if isinstance(shrunk, float) and 0 < shrunk <= 1 else 1
        return [(rows // merged, columns // merged) for rows, columns in counted.tolist()]
    return _by_patches(processor, encoded)


def fills(image_processor: Any, height: int, width: int) -> bool:
    """Whether an image processor makes all of its pixels of an image of this size; others pad it, to be resized less.

    It is tried on one of a single colour, which gives as many values as there are channels, unless others are added.

    Parameters
    ----------
    image_processor
        That of a processor of transformers.
    height, width
        In pixels.
    """
    from PIL import Image  # an extra: a model of text is opened without it

    picture = Image.new("RGB", (width, height), _COLOUR)
    try:
        encoded = image_processor(images=[picture], return_tensors="pt")
        pixels = encoded["pixel_values"]
        values = torch.unique(pixels.detach().float().round(decimals=2)) if isinstance(pixels, Tensor) else None
    except Exception:  # an image processor may be a checkpoint's own; where it cannot be tried, nothing is known
        return False
    return values is not None and len(values) <= len(_COLOUR)


def _by_patches(processor: Any, encoded: Mapping[str, Any]) -> list[Grid] | None:
    """Return the grids of images that are resized, neither cropped nor padded, and cut into patches."""
    patch = getattr(processor, "patch_size", None)
    cut = any(getattr(processor.image_processor, name, False) for name in ("do_center_crop", "do_image_splitting"))
    if not isinstance(patch, int) or patch < 1 or cut:
        return None
    side = patch * int(getattr(processor, "spatial_merge_size", 1) or 1)
    sizes, pixels = encoded.get("image_sizes"), encoded.get("pixel_values")
    if isinstance(sizes, Tensor) and sizes.ndim == 2 and sizes.shape[1] == 2:
        return [(height // side, width // side) for height, width in sizes.tolist()]
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or getattr(processor.image_processor, "do_pad", False):
        return None
    return [(pixels.shape[2] // side, pixels.shape[3] // side)] * len(pixels)


def tokens_of_images(
    processor: Any, is_placeholder: NDArray[np.bool_], grids: Sequence[Grid] | None, sizes: Sequence[tuple[int, int]]
) -> list[int] | None:
    """Return how many placeholders stand for each image; None where it is not known.

    Parameters
    ----------
    processor
        A processor of transformers.
    is_placeholder
        Which tokens of the prompt are placeholders of images ``(tokens,)``.
    grids
        What `grids_of` returned.
    sizes
        Height and width of each image in pixels.
    """
    total = int(is_placeholder.sum())
    if len(sizes) == 1:
        return [total]
    if grids is not None and len(grids) == len(sizes):
        found = [rows * columns for rows, columns in grids]
        if sum(found) == total:
            return found
    runs = [sum(1 for _ in run) for is_image, run in groupby(is_placeholder.tolist()) if is_image]
    if len(runs) == len(sizes):
        return runs
    told = _told(processor, sizes)
    return told if told is not None and sum(told) == total else None


def _told(processor: Any, sizes: Sequence[tuple[int, int]]) -> list[int] | None:
    """Return how many tokens a processor says that images take, markers perhaps among them; None where it does not."""
    try:
        found = processor._get_num_multimodal_tokens(image_sizes=[list(one) for one in sizes])
        numbers = [int(one) for one in found["num_image_tokens"]]
    except Exception:  # a processor may be a checkpoint's own; what it cannot tell is not known
        return None
    return numbers if len(numbers) == len(sizes) else None
