"""Tensors as they are stored: what transformers renumbers, or resets after it was read."""

import re
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from moexray.engines.transformers.checkpoint import all_tensor_headers, weight_files
from moexray.errors import ModelError

# transformers 5.24 initialises these after it has loaded them, and so loses the value for skipped experts (zaya).
_RESET = ".balancing_biases"

# One tensor of one expert, where each expert has its own.
_OF_AN_EXPERT = re.compile(r"(?P<before>.+\.experts)\.(?P<expert>\d+)\.(?P<after>.+)")


def check_numbering(name: str, folder: Path) -> None:
    """Refuse experts whose numbers have a gap: transformers joins them in order, and would give each another number.

    Raises
    ------
    ModelError
        If the experts of a layer are not numbered from 0 without a gap.
    """
    numbers: dict[tuple[str, str], set[int]] = {}
    for key in (key for of_file in all_tensor_headers(folder).values() for key in of_file):
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
