"""The scales of weights that are stored in eight bits: there, of the shape of the weight's blocks, and numbers."""

import re
from collections.abc import Mapping, Sequence
from math import ceil, prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from moexray.engines.transformers.checkpoint import all_tensor_headers
from moexray.errors import ModelError

# Formats in which no weight is stored that is to be read as it is.
_WHOLE = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL")
# What stands after a weight's name, without its last ".weight", in the name of its scale; others scale activations.
_ITS_SCALE = re.compile(r"(?P<weight>.+?)([._](weight_)?scale(_inv)?|\.qscale_weight)")
_BLOCKS = "weight_block_size"
_CURE = "name a checkpoint that is not packed, or download it anew"


def blocks_of(settings: Any) -> Sequence[int] | None:
    """Return rows and columns of the blocks that the settings of fp8 describe; None for whole weights.

    Raises
    ------
    ModelError
        If they are not two numbers above zero.
    """
    usual = (128, 128)
    found = settings.get(_BLOCKS, usual) if isinstance(settings, Mapping) else getattr(settings, _BLOCKS, usual)
    if found is None:
        return None
    if not isinstance(found, Sequence) or len(found) != 2 or not all(type(one) is int and one > 0 for one in found):
        message = f"its config.json says that {_BLOCKS} is {found!r}, which must be two whole numbers above 0"
        raise ModelError(message)
    return tuple(found)


def check_scales(name: str, folder: Path, packing: str | None, blocks: Sequence[int] | None) -> None:
    """Refuse numbers of eight bits, and whole ones, that would be read without the scales that belong to them.

    transformers takes the size of a block from the shape of its scales: other scales than the configuration describes
    would be applied to other parts of the weight.

    Parameters
    ----------
    name, folder
        The model, and the folder of its files.
    packing
        The method that packed the weights.
    blocks
        Rows and columns of a block that has a scale of its own; None where there is one scale for each weight or row.

    Raises
    ------
    ModelError
        If the configuration names no packing, or fp8, and a tensor is packed that has no scale beside it, or one of
        another shape or that is no number.
    """
    if packing not in (None, "fp8"):
        return  # these keep scales in modules of their own, and transformers says which are missing
    headers = all_tensor_headers(folder)
    held = {key: tensor for of_file in headers.values() for key, tensor in of_file.items()}
    scales = {found["weight"]: key for key in held if (found := _ITS_SCALE.fullmatch(key))}
    packed = [key for key, tensor in held.items() if _is_packed(key, tensor["dtype"])]
    for key in packed:
        scale = scales.get(key.removesuffix(".weight"))
        if packing is None or scale is None:
            without = "its config.json does not say how" if packing is None else "its scale is not in the files"
            message = f"model {name}: {key} is stored as {held[key]['dtype']}, and {without}: {_CURE}"
            raise ModelError(message)
        # Four bits have blocks of their own size, and tables of embeddings a scale for each row.
        if held[key]["dtype"].startswith("F8") and "embed" not in key:
            problem = _misfit(held[key]["shape"], held[scale]["shape"], blocks)
            if problem is not None:
                message = f"model {name}: {scale} and {key} do not fit together: {problem}: {_CURE}"
                raise ModelError(message)
    used = {scales[key.removesuffix(".weight")] for key in packed}
    for file, of_file in headers.items():
        _check_values(name, file, [key for key in of_file if key in used])


def _misfit(weight: Sequence[int], scales: Sequence[int], blocks: Sequence[int] | None) -> str | None:
    """Return why scales of this shape are not read as those of a weight; None where they are."""
    *others, rows, columns = weight
    if blocks is None:
        described = "a scale for each weight or row"
        fits = list(scales) == [*others, rows, 1] or prod(scales) == prod(others)
    else:
        described = f"a scale for each block of {blocks[0]} by {blocks[1]}"
        grid = [ceil(rows / blocks[0]), ceil(columns / blocks[1])]
        # transformers divides the weight by the grid: where blocks reach beyond its end, all would move.
        whole = all(n == 1 or size % block == 0 for n, size, block in zip(grid, (rows, columns), blocks, strict=True))
        fits = list(scales) == [*others, *grid] and whole
    return None if fits else f"of the shapes {tuple(scales)} and {tuple(weight)}, by a config.json with {described}"


def _check_values(name: str, file: Path, scales: Sequence[str]) -> None:
    if not scales:
        return
    with safe_open(file, framework="pt") as stored:
        for scale in scales:
            values = stored.get_tensor(scale)
            # A byte is an exponent, and 255 stands for NaN.
            numbers = values.float() if values.dtype != torch.uint8 else torch.exp2(values.float() - 127)
            wrong = ~(torch.isfinite(numbers) & (numbers >= 0))
            if bool(wrong.any()):
                message = (
                    f"model {name}: {scale} holds {numbers[wrong].flatten()[0].item()}, which is no scale: {_CURE}"
                )
                raise ModelError(message)


def _is_packed(key: str, dtype: str) -> bool:
    """Whether a tensor holds a weight as numbers of eight bits or fewer, or as whole ones; others may be counts."""
    return dtype.startswith(("F8_E4", "F8_E5", "F4", "F6")) or (dtype in _WHOLE and key.endswith("weight"))
