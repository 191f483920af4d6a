"""Traces of llama.cpp's moe-trace: CSV with the columns ``layer`` and ``expert``, a row a selection."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.csv_file import csv_rows
from moexray.errors import ImportingError
from moexray.importing.arrays import check_file
from moexray.importing.reading import Reading, check_uneven, layout_of, read_counts
from moexray.importing.stated import Stated

_COLUMNS = ("layer", "expert")
_MOST_DIGITS = 5


def read_moe_trace(source: Path, stated: Stated) -> Reading:
    """Open a trace of selections: see docs/import.md."""
    stated.refuse(["mapping", "prompts"], source)
    experts = stated.need("num_experts", source, "how many experts a layer has")
    top_k = stated.need("top_k", source, "how many experts a token is sent to")
    segment = stated.phase(source)
    of_layer = _counts(source, experts, top_k)
    layers = stated.layers or tuple(sorted(of_layer))
    missing = [layer for layer in layers if layer not in of_layer]
    if missing or not layers:
        message = f"{source} has no selection of {f'layer {missing[0]}' if missing else 'any layer'}"
        raise ImportingError(message)
    layout = layout_of(layers, experts, top_k, source)
    counts = np.stack([of_layer[layer] for layer in layers])
    cause = "it holds whole rankings of the experts, of which only the first k of each token were selected"
    check_uneven(counts, layout, source, cause=cause)
    return read_counts(counts, layout, stated, segment=segment, files=(source,), name=source.stem)


def _counts(path: Path, experts: int, top_k: int) -> dict[int, NDArray[np.int64]]:
    """Return the counts of each layer; every k selections of a layer that follow each other are of one token."""
    check_file(path)
    found: dict[int, NDArray[np.int64]] = {}
    token: dict[int, set[int]] = {}
    try:
        with path.open("rb") as file:
            rows = csv_rows(file, path, error=ImportingError)
            _, names = next(rows, (0, []))
            if any(names.count(name) != 1 for name in _COLUMNS):
                message = f"{path} has the columns {', '.join(names)[:80]}: a trace has layer and expert"
                raise ImportingError(message)
            places = [names.index(name) for name in _COLUMNS]
            for line, values in rows:
                layer, expert = _numbers(values, places, f"{path} line {line}")
                if expert >= experts:
                    message = f"{path} line {line}: expert {expert} is not one of {experts}"
                    raise ImportingError(message)
                if layer not in found:
                    found[layer], token[layer] = np.zeros(experts, dtype=np.int64), set()
                    layout_of(tuple(found), experts, top_k, path)  # refuses more than a model has
                if expert in token[layer]:
                    message = (
                        f"{path} line {line}: expert {expert} comes twice among the {top_k} selections of a token in "
                        f"layer {layer}: is k another?"
                    )
                    raise ImportingError(message)
                token[layer].add(expert)
                if len(token[layer]) == top_k:
                    token[layer].clear()
                found[layer][expert] += 1
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error
    return found


def _numbers(values: list[str], places: list[int], place: str) -> tuple[int, int]:
    cells = [values[one].strip() if one < len(values) else "" for one in places]
    if any(not cell.isascii() or not cell.isdigit() or len(cell) > _MOST_DIGITS for cell in cells):
        message = (
            f"{place}: layer and expert must be whole numbers, not {' and '.join(repr(one[:20]) for one in cells)}"
        )
        raise ImportingError(message)
    return int(cells[0]), int(cells[1])
