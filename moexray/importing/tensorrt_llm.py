"""Expert statistics of TensorRT-LLM: a folder with ``meta_info.json`` and ``rank*.safetensors``.

Source: ``tensorrt_llm/_torch/expert_statistic.py``; a tensor ``"{iteration}_{layer}"`` has the selections of a rank.
"""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray import strict_json
from moexray.errors import ImportingError
from moexray.importing.arrays import check_file, files_in, read_bytes
from moexray.importing.reading import Reading, layout_of, read_counts
from moexray.importing.stated import Stated

_RANK = re.compile(r"rank([0-9]{1,5})\.safetensors")
_KEY = re.compile(r"[0-9]{1,12}_([0-9]{1,5})")
_LONGEST_HEADER = 2**26
_META = "meta_info.json"


def read_tensorrt_llm(source: Path, stated: Stated) -> Reading:
    """Open a folder of statistics: see docs/import.md."""
    stated.refuse(["mapping", "prompts"], source)
    meta = _meta(source)
    for name, key in (("num_experts", "num_experts"), ("top_k", "num_experts_per_token")):
        if type(meta.get(key)) is not int:
            message = f"{source / _META} has no whole number {key!r}"
            raise ImportingError(message)
        stated.agree(name, meta[key], source / _META)
    experts, ranks = meta["num_experts"], _ranks(source)
    of_layer: dict[int, NDArray[np.int64]] = {}
    for path in ranks:
        _add(path, experts, of_layer)
        layout_of(tuple(of_layer), experts, meta["num_experts_per_token"], source)  # refuses more than a model has
    layers = stated.layers or tuple(sorted(of_layer))
    missing = [layer for layer in layers if layer not in of_layer]
    if missing or not layers:
        message = f"{source} has no counts of {f'layer {missing[0]}' if missing else 'any layer'}"
        raise ImportingError(message)
    layout = layout_of(layers, experts, meta["num_experts_per_token"], source)
    segment = stated.phase(source)
    counts = np.stack([of_layer[layer] for layer in layers])
    return read_counts(
        counts, layout, stated, segment=segment, files=(source / _META, *ranks), name=source.resolve().name
    )


def _meta(source: Path) -> dict[str, Any]:
    path = source / _META
    if not path.is_file():
        message = f"{source} has no {_META}: name the folder that EXPERT_STATISTIC_PATH named"
        raise ImportingError(message)
    check_file(path)
    try:
        with path.open("rb") as file:
            found = strict_json.loads(file.read(2**20))
    except (OSError, ValueError) as error:
        message = f"{path} is not JSON ({str(error).splitlines()[0]})"
        raise ImportingError(message) from error
    if not isinstance(found, dict):
        message = f"{path} is no object of JSON"
        raise ImportingError(message)
    return found


def _ranks(source: Path) -> list[Path]:
    """Return the files of all ranks, which are numbered from 0 on."""
    found = {int(named[1]): path for path in files_in(source) if (named := _RANK.fullmatch(path.name))}
    missing = next(number for number in range(len(found) + 1) if number not in found)
    if not found or missing < len(found):
        message = f"{source} has no rank{missing}.safetensors: the counts of all ranks are needed"
        raise ImportingError(message)
    return [found[number] for number in range(len(found))]


def _add(path: Path, experts: int, of_layer: dict[int, NDArray[np.int64]]) -> None:
    """Add the counts of a rank, of all iterations, to those of each layer."""
    check_file(path)
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", read_bytes(file, 8, str(path)))
            if length > _LONGEST_HEADER:
                message = f"{path} has a header of {length:,} bytes: it is no file of safetensors, or damaged"
                raise ImportingError(message)
            header = strict_json.loads(bytes(read_bytes(file, length, str(path))))
            if not isinstance(header, dict):
                message = "its header is no object"
                raise ValueError(message)
            for name, held in header.items():
                if name == "__metadata__":
                    continue
                named = _KEY.fullmatch(name)
                if named is None or held["dtype"] != "I64" or held["shape"] != [experts]:
                    message = f"{path}: {name!r} is not ITERATION_LAYER of {experts} counts (int64)"
                    raise ImportingError(message)
                start, end = held["data_offsets"]
                if type(start) is not int or start < 0 or end != start + 8 * experts:
                    message = f"{name} has other bytes than counts"
                    raise ValueError(message)
                file.seek(8 + length + min(start, 2**62))
                counts = np.frombuffer(read_bytes(file, 8 * experts, f"{path}, {name}"), "<i8")
                if counts.min() < 0 or counts.max() > 2**40:
                    message = f"{path}: {name} counts {counts.min()} to {counts.max()}"
                    raise ImportingError(message)
                of_layer[int(named[1])] = of_layer.get(int(named[1]), 0) + counts
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path} is no file of safetensors, or damaged ({str(error).splitlines()[0]})"
        raise ImportingError(message) from error
