"""Fingerprints of what makes a model: its weights, configuration, code, tokenizer, template and adapter.

They say whether two captures are of the same model, wherever its files lie and whenever they were written.

The fingerprint of weights takes in every byte, since one number decides which experts a token goes to; samples would
miss it. It hashes tensor by tensor, in the order of their names: other shards of the same tensors give the same.
It reads files that were read just before, from the page cache where they fit, on all cores: 0.9 CPU seconds for a
gigabyte on the machine where loading took 2.4.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from moexray.engines.transformers.checkpoint import tensor_headers, weight_files

_DIGITS = 32
_SUMMED = 2**15
# Of a configuration, what says nothing about the model.
_UNIMPORTANT = {
    *("_name_or_path", "name_or_path", "base_model_name_or_path"),
    *("transformers_version", "peft_version", "dtype", "torch_dtype"),
}
# Files beside the weights that decide which tokens run, and which code.
_SMALL = (".json", ".jinja", ".model", ".txt", ".py", ".tiktoken", ".vocab")


def fingerprint_of_folder(folder: Path) -> dict[str, str]:
    """Return the fingerprint of the ``weights`` in a folder, and of the ``configuration`` beside them."""
    found = {"configuration": _digest(_described(json.loads((folder / "config.json").read_text(encoding="utf-8"))))}
    files = weight_files(folder)
    if not files:
        return found
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        if files[0].suffix == ".safetensors":
            parts = dict(part for file in files for part in _tensors(file, threads))
        else:
            parts = dict(zip((file.name for file in files), threads.map(_hashed, files), strict=True))
    return {"weights": _digest(parts), **found}


def fingerprint_of_state(model: PreTrainedModel) -> str:
    """Return the fingerprint of the weights of a model in memory, which is none of files."""
    return _digest(
        {
            name: f"{tensor.dtype} {list(tensor.shape)} {_hash(_bytes_of(tensor))}"
            for name, tensor in model.state_dict().items()
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta"
        }
    )


@torch.no_grad()
def checksum_of_state(model: PreTrainedModel) -> str:
    """Return what tells whether numbers of a model in memory were changed: it takes 0.1 CPU seconds for a gigabyte.

    It is no fingerprint: whoever wants to can make other numbers of the same checksum.
    """
    return _digest(
        {
            name: f"{tensor.dtype} {list(tensor.shape)} {_hash(_bytes_of(_sums(tensor)))}"
            for name, tensor in model.state_dict().items()
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta"
        }
    )


def fingerprint_of_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the fingerprint of what turns text into tokens, the chat template aside."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return _digest(
        {
            "class": type(tokenizer).__name__,
            "tokens": tokenizer.get_vocab() if backend is None else backend.to_str(),
            "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        }
    )


def fingerprint_of_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the fingerprint of a tokenizer's chat template."""
    return _digest({"template": getattr(tokenizer, "chat_template", None)})


def fingerprint_of_processor(processor: Any) -> str:
    """Return the fingerprint of what turns a text with images into tokens and pixels, its tokenizer aside."""
    parts = set(processor.get_attributes())  # those for videos and sound see nothing, and may not be installed
    own = {
        name: value
        for name, value in vars(processor).items()
        if name not in parts and isinstance(value, str | int | float | list | tuple | dict)
    }
    images = processor.image_processor
    return _digest(
        {
            "processor": {"class": type(processor).__name__, **own},
            "images": {"class": type(images).__name__, **_described(images.to_dict())},
        }
    )


def fingerprint_of_code(files: Mapping[str, Path]) -> str:
    """Return the fingerprint of a checkpoint's code: see `moexray.engines.transformers.checkpoint_code.code_files`."""
    return _digest({name: _hashed(file) for name, file in files.items()})


def fingerprint_of_adapter(files: Iterable[Path]) -> str:
    """Return the fingerprint of an adapter's files, but for the name of the model that it was trained for."""
    return _digest(
        {
            file.name: _described(json.loads(file.read_bytes())) if file.suffix == ".json" else _hashed(file)
            for file in files
        }
    )


def small_files(folder: Path, *, with_code: bool = False) -> dict[str, str]:
    """Return the fingerprint of each file beside the weights that may change what runs.

    Parameters
    ----------
    folder
        The folder of a checkpoint.
    with_code
        Whether code of the checkpoint runs: it may read any module below the folder.
    """
    files = {*folder.glob("*"), *folder.glob("additional_chat_templates/*")}
    if with_code:
        files.update(file for file in folder.rglob("*.py") if not _is_hidden(file.relative_to(folder)))
    return {
        str(file.relative_to(folder)): _hashed(file)[:_DIGITS]
        for file in sorted(files)
        if file.suffix in _SMALL and file.is_file()
    }


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _described(config: Any) -> Any:
    """Return what a configuration says of the model, and not of its number format, its place and who wrote it."""
    if not isinstance(config, dict):
        return config
    return {key: _described(value) for key, value in config.items() if key not in _UNIMPORTANT}


def _tensors(file: Path, threads: ThreadPoolExecutor) -> Iterator[tuple[str, str]]:
    headers = tensor_headers(file)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        whole = memoryview(content)
        pieces = [whole[slice(*tensor["data_offsets"])] for tensor in headers.values()]
        for (name, tensor), found in zip(headers.items(), threads.map(_hash, pieces), strict=True):
            yield name, f"{tensor['dtype']} {tensor['shape']} {found}"
        for piece in pieces:
            piece.release()
        whole.release()


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data


def _sums(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of every 32 kB of a tensor, as whole numbers of 64 bits that wrap round, and what is left."""
    aligned = tensor.detach().contiguous()
    if aligned.data_ptr() % 8:  # part of another tensor
        aligned = aligned.clone()
    content = aligned.reshape(-1).view(torch.uint8)
    whole = content.numel() // _SUMMED * _SUMMED
    sums = content[:whole].view(torch.int64).view(-1, _SUMMED // 8).sum(dim=1)
    return torch.cat([sums.view(torch.uint8), content[whole:]])


def _hashed(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _hash(content: memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(parts: Mapping[str, Any]) -> str:
    """Return the fingerprint of named parts, in whatever order they come."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:_DIGITS]
