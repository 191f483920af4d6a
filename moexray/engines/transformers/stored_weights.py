"""Tensors as they are stored: what transformers reads without a scale, or renumbers, or resets after it was read."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from moexray.engines.transformers.checkpoint import tensor_headers, weight_files
from moexray.errors import ModelError

# transformers 5.24 initialises these after it has loaded them, and so loses the value for skipped experts (zaya).
_RESET = ".balancing_biases"

# Formats in which no weight is stored that is to be read as it is.
_WHOLE = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL")

# One tensor of one expert, where each expert has its own.
_OF_AN_EXPERT = re.compile(r"(?P<before>.+\.experts)\.(?P<expert>\d+)\.(?P<after>.+)")


def check_scales(name: str, folder: Path, packing: str | None) -> None:
    """Refuse numbers of eight bits, and whole ones, that would be read without the scale that belongs to them.

    Raises
    ------
    ModelError
        If the configuration names no packing, or fp8, and a tensor is packed that has no scale beside it.
    """
    if packing not in (None, "fp8"):
        return  # these keep scales in modules of their own, and transformers says which are missing
    headers = _headers(folder)
    for key, tensor in headers.items():
        if not _is_packed(key, tensor["dtype"]):
            continue
        stem = key.removesuffix(".weight")
        if packing is None or not any(other.startswith(stem) and "scale" in other[len(stem) :] for other in headers):
            without = "its config.json does not say how" if packing is None else "its scale is not in the files"
            message = (
                f"model {name}: {key} is stored as {tensor['dtype']}, and {without}: name a checkpoint that is not "
                "packed, or download it anew"
            )
            raise ModelError(message)


def check_numbering(name: str, folder: Path) -> None:
    """Refuse experts whose numbers have a gap: transformers joins them in order, and would give each another number.

    Raises
    ------
    ModelError
        If the experts of a layer are not numbered from 0 without a gap.
    """
    numbers: dict[tuple[str, str], set[int]] = {}
    for key in _headers(folder):
        if found := _OF_AN_EXPERT.fullmatch(key):
            numbers.setdefault((found["before"], found["after"]), set()).add(int(found["expert"]))
    for (before, after), there in numbers.items():
        absent = set(range(max(there) + 1)) - there
        if absent:
            message = (
                f"model {name}: its files hold {before}.{max(there)}.{after}, but no {before}.{min(absent)}.{after}: "
                "number experts from 0 without a gap, or name a checkpoint that is whole"
            )
            raise ModelError(message)


@torch.no_grad()
def restore(model: PreTrainedModel, folder: Path) -> None:
    """Put stored values back where transformers initialises what it has loaded."""
    ours = {name: tensor for name, tensor in model.state_dict().items() if name.endswith(_RESET)}
    for file in weight_files(folder) if ours else []:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as stored:
                for name in ours.keys() & set(stored.keys()):
                    ours[name].copy_(stored.get_tensor(name))


def _is_packed(key: str, dtype: str) -> bool:
    """Whether a tensor holds a weight as numbers of eight bits or fewer, or as whole ones; others may be counts."""
    return dtype.startswith(("F8_E4", "F8_E5", "F4", "F6")) or (dtype in _WHOLE and key.endswith("weight"))


def _headers(folder: Path) -> dict[str, Any]:
    files = (file for file in weight_files(folder) if file.suffix == ".safetensors")
    return {key: tensor for file in files for key, tensor in tensor_headers(file).items()}
