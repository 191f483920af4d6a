"""The files of a checkpoint: where they are, which of them hold weights, and what is wrong with them at first sight."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from moexray.errors import ModelError

SCALE_MODEL = Path(__file__).parents[2] / "scale_model"
# In the order in which transformers looks for them; an index names the shards.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")
_POINTER = b"version https://git-lfs.github.com/spec/"
_OF_A_POINTER = 1024


def source_of(name: str) -> str:
    """Return what transformers calls a model: the folder of the embedded one, or the name itself."""
    return str(SCALE_MODEL) if name == "scale" else name


def folder_of(name: str, revision: str | None = None) -> Path | None:
    """Return the folder of a model's files: its own, or that of a hub model in the cache; None where there is none.

    In the cache, the name of the folder is the commit that a branch or tag stood for when it was last fetched.
    """
    folder = Path(source_of(name))
    if folder.is_dir():
        return folder
    with suppress(HFValidationError):  # neither a folder nor an id
        found = try_to_load_from_cache(name, "config.json", revision=revision)
        return Path(found).parent if isinstance(found, str) else None
    return None


def commit_of(name: str, revision: str | None) -> str | None:
    """Return the commit of a hub model whose configuration was fetched; None for a folder."""
    folder = folder_of(name, revision)
    return None if folder is None or Path(source_of(name)).is_dir() else folder.name


def weight_files(folder: Path) -> list[Path]:
    """Return the files that transformers reads weights from; empty where there are none."""
    for name in _WEIGHTS:
        file = folder / name
        if file.is_file():
            return [folder / shard for shard in sorted(_shards(file))] if file.suffix == ".json" else [file]
    return []


def unnamed_shards(folder: Path) -> list[str]:
    """Return the shards that lie in a folder but are not among `weight_files`."""
    named = weight_files(folder)
    suffixes = {file.suffix for file in named}
    beside = (file for file in folder.iterdir() if file.suffix in suffixes and _SHARD.search(file.name))
    return sorted(file.name for file in beside if file not in named)


def check_folder(name: str, revision: str | None = None) -> None:
    """Refuse a folder that is none of a checkpoint, or whose files were not fetched.

    Raises
    ------
    ModelError
        If there is no config.json, a file is a pointer of git-lfs, or a revision is asked for, which no folder has.
    """
    if not name.strip():
        message = f'model {name!r} is no name: name a folder, a hub model, or `model="scale"`'
        raise ModelError(message)
    if (repository := _repository(name)) is not None:
        message = f'{name} is the page of a hub model, not its name: say `model="{repository}"`'
        raise ModelError(message)
    folder = Path(source_of(name))
    if not folder.exists():
        return
    if revision is not None:
        kind = "comes with moexray" if name == "scale" else "is a folder"
        message = f"model {name} {kind}, and has no revisions: leave out `revision`, or name a hub model"
        raise ModelError(message)
    if not (folder / "config.json").is_file():
        message = f"model {name} has no config.json: name the folder of a checkpoint that transformers can load"
        if (folder / "adapter_config.json").is_file():
            message = (
                f"model {name} is an adapter, not a model: name the model that it was trained for, and the adapter "
                "with `adapter`"
            )
        raise ModelError(message)
    for file in _pointers(folder):
        message = (
            f"model {name}: {file.name} is a pointer of git-lfs in place of the file: run `git lfs pull` in the "
            "folder, or download the model anew"
        )
        raise ModelError(message)


def tensor_headers(file: Path) -> dict[str, dict[str, Any]]:
    """Return what the header of a safetensors file says of each tensor: ``dtype``, ``shape``, ``data_offsets``.

    Offsets count from the beginning of the file.
    """
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
    header.pop("__metadata__", None)
    for tensor in header.values():
        tensor["data_offsets"] = [8 + size + offset for offset in tensor["data_offsets"]]
    found: dict[str, dict[str, Any]] = header
    return found


def all_tensor_headers(folder: Path) -> dict[Path, dict[str, dict[str, Any]]]:
    """Return `tensor_headers` of each safetensors file that transformers reads weights from."""
    return {file: tensor_headers(file) for file in weight_files(folder) if file.suffix == ".safetensors"}


def _repository(address: str) -> str | None:
    """Return the id of the hub model whose page this is; None if it is none."""
    found = re.match(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)", address)
    return None if found is None else found[1]


def _shards(index: Path) -> set[str]:
    named = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    return {str(shard) for shard in named.values()}


def _pointers(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.stat().st_size < _OF_A_POINTER:
            with file.open("rb") as opened:
                if opened.read(len(_POINTER)) == _POINTER:
                    yield file
