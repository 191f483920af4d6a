"""Tiny checkpoints on disk, with tensors, settings and files changed as damage and other tools change them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedConfig

from ...tiny_models import FAMILIES, random_model, tokenizer_of_letters

Tensors = dict[str, torch.Tensor]


def save(folder: Path, config: str | PreTrainedConfig = "mixtral", dtype: torch.dtype = torch.float32) -> Path:
    """Write a random model of a family, or of a configuration, with the tokenizer of letters."""
    model = random_model(FAMILIES[config]() if isinstance(config, str) else config, dtype)
    model.save_pretrained(folder)
    tokenizer_of_letters().save_pretrained(folder)
    return folder


def change(folder: Path, edit: Callable[[Tensors], Tensors]) -> Path:
    """Write the weights anew as `edit` returns them."""
    file = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in edit(load_file(file)).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def configure(folder: Path, **settings: Any) -> Path:
    """Write other settings to config.json; None takes one out."""
    file = folder / "config.json"
    config = {name: value for name, value in json.loads(file.read_text()).items() if name not in settings}
    config |= {name: value for name, value in settings.items() if value is not None}
    file.write_text(json.dumps(config))
    return folder


def without(part: str) -> Callable[[Tensors], Tensors]:
    """Return an edit that takes out the tensors whose names have this part."""
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    """Return an edit that replaces the beginning of names."""
    return lambda tensors: {
        f"{new}{name.removeprefix(old)}" if name.startswith(old) else name: tensor for name, tensor in tensors.items()
    }


def added(**tensors: torch.Tensor) -> Callable[[Tensors], Tensors]:
    """Return an edit that adds tensors; ``__`` stands for a dot."""
    return lambda others: {**others, **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}


def split(folder: Path, *, named: Callable[[str], bool] = lambda _: True) -> Path:
    """Write the weights as two shards, and an index of the tensors in those that are `named`."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    index: Mapping[str, str] = {}
    for number, some in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), start=1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in some}, folder / shard, metadata={"format": "pt"})
        index = {**index, **{name: shard for name in some if named(shard)}}
    written = {"metadata": {}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(written))
    return folder
