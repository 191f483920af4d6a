"""Which experts are selected together: for each layer, how often every two of them had a token in common."""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from moexray.files import whole_file
from moexray.prompts import Prompt
from moexray.recording.journal import Row
from moexray.routing import RouterLayout

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine

# Tokens whose pairs are counted together: an array of all pairs of experts is filled for each such lot.
_TOKENS = 4096


def write_coselection(
    path: Path, rows: Iterable[Row], _prompts: Sequence[Prompt], engine: "TransformersEngine"
) -> None:
    """Write a compressed NumPy archive: ``pairs``, uint64 ``(segments, layers, experts, experts)``, and ``layers``.

    ``pairs[segment, layer, i, j]`` is the number of tokens of the segment (0 prompt, 1 generated, for texts) that
    selected both i and j there; the diagonal holds how many selected i.
    """
    arrays: dict[str, NDArray[Any]] = {
        "pairs": count_pairs(rows, engine.layout),
        "layers": np.asarray(engine.layout.layers, dtype=np.int16),
    }
    with whole_file(path) as partial, zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def count_pairs(rows: Iterable[Row], layout: RouterLayout) -> NDArray[np.uint64]:  # (2, layers, experts, experts)
    """Count every two experts of every token, by phase and layer."""
    experts, segments = max(layout.experts), len(layout.segments)
    pairs = np.zeros((segments, len(layout.layers), experts, experts), dtype=np.uint64)
    waiting: list[list[NDArray[np.int16]]] = [[] for _ in range(segments)]
    for row in rows:
        for phase in range(segments):
            selected = row["experts"][row["segments"] == phase]
            waiting[phase].append(selected)
            if sum(map(len, waiting[phase])) >= _TOKENS:
                _add(pairs[phase], np.concatenate(waiting[phase]))
                waiting[phase].clear()
    for phase in range(segments):
        if waiting[phase]:
            _add(pairs[phase], np.concatenate(waiting[phase]))
    return pairs


def _add(pairs: NDArray[np.uint64], selected: NDArray[np.int16]) -> None:
    """Add the pairs of selections ``(tokens, layers, k)``; −1 is no selection."""
    experts = pairs.shape[1]
    for layer, of_layer in enumerate(np.moveaxis(selected.astype(np.int64), 1, 0)):
        first, second = of_layer[:, :, None], of_layer[:, None, :]
        places = (first * experts + second)[(first >= 0) & (second >= 0)]
        pairs[layer] += np.bincount(places, minlength=experts**2).reshape(experts, experts).astype(np.uint64)
