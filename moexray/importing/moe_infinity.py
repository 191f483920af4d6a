"""Activation matrices of MoE-Infinity: an ``.npy`` array ``(sequences, layers, experts)`` of counts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moexray.errors import ImportingError
from moexray.importing.arrays import check_file, read_npy
from moexray.importing.reading import ImportedPrompt, Reading, counted_prompt, layout_of
from moexray.importing.stated import SEGMENTS, Stated


def read_moe_infinity(source: Path, stated: Stated) -> Reading:
    """Open an array of counts, one matrix a sequence: see docs/import.md."""
    stated.refuse(["mapping", "prompts"], source)
    check_file(source)
    try:
        with source.open("rb") as file:
            array = read_npy(file, str(source))
    except OSError as error:
        message = f"{source} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error
    if array.ndim != 3 or array.dtype.kind not in "iuf" or not array.size:
        message = f"{source} is {array.dtype} of shape {array.shape}: counts (sequences, layers, experts) are needed"
        raise ImportingError(message)
    stated.agree("num_experts", array.shape[2], source)
    layers = stated.need("layers", source, f"which layers of the model its {array.shape[1]} are")
    if len(layers) != array.shape[1]:
        message = f"{source} has {array.shape[1]} layers, not the {len(layers)} that were stated"
        raise ImportingError(message)
    top_k = stated.need("top_k", source, "how many experts a token is sent to")
    layout = layout_of(layers, array.shape[2], top_k, source)
    segment = stated.phase(source)
    for row in array:  # one at a time: a copy of all may not fit
        if not np.isfinite(row).all() or (row != np.floor(row)).any() or row.min() < 0 or row.max() >= 2**31:
            message = f"{source} holds something other than counts"
            raise ImportingError(message)
    category = stated.category or source.stem

    def prompts() -> Iterator[ImportedPrompt]:
        for number, row in enumerate(array, start=1):
            place, name = f"{source} sequence {number}", f"{source.stem}-{number:02}"
            counts = row.astype(np.int64)
            yield counted_prompt(counts, layout, segment=segment, source=place, id=name, category=category)

    phases = ["phases"] if segment == len(SEGMENTS) - 1 else []
    return Reading(layout, prompts, files=(source,), model=stated.model, unknown=("tokens", *phases))
