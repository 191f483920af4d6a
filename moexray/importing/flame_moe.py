"""Traces of FLAME-MoE: a folder ``actives/iter_X`` of ``layer_NN.parquet``, a row a token, with its experts.

Source: the data set CMU-FLAME/FLAME-MoE-Traces; columns ``scores`` and ``indices``, lists of k values.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.arrays import files_in
from moexray.importing.reading import Reading, check_selections, layout_of, read_counts
from moexray.importing.stated import Stated
from moexray.parquet_file import batches_of, open_parquet, reading_parquet
from moexray.routing import RouterLayout

_LAYER = re.compile(r"layer_([0-9]{1,4})\.parquet")
_COLUMN = "indices"
_ROWS = 2**16
_PROMPT = 0


def read_flame_moe(source: Path, stated: Stated) -> Reading:
    """Open the routing of one checkpoint: see docs/import.md."""
    stated.refuse(["mapping", "prompts", "tokens_are"], source)
    experts = stated.need("num_experts", source, "how many experts a layer has")
    files = {int(found[1]): path for path in files_in(source) if (found := _LAYER.fullmatch(path.name))}
    layers = stated.layers or tuple(sorted(files))
    missing = [layer for layer in layers if layer not in files]
    if missing or not layers:
        wanted = f"layer_{missing[0]:02}.parquet" if missing else "layer_NN.parquet"
        message = f"{source} has no file {wanted}: name a folder such as actives/iter_X"
        raise ImportingError(message)
    layout_of(layers, experts, 1, source)  # refuses more than a model has
    top_k, counts = 0, np.zeros((len(layers), experts), dtype=np.int64)
    for place, layer in enumerate(layers):
        counts[place], k = _counts(files[layer], layer, experts)
        if top_k not in (0, k):
            message = f"{files[layer]} sends tokens to {k} experts, {files[layers[0]].name} to {top_k}"
            raise ImportingError(message)
        top_k = k
    stated.agree("top_k", top_k, source)
    layout = layout_of(layers, experts, top_k, source)
    read = tuple(files[layer] for layer in layers)
    return read_counts(counts, layout, stated, segment=_PROMPT, files=read, name=source.resolve().name)


def _counts(path: Path, layer: int, experts: int) -> tuple[NDArray[np.int64], int]:
    """Return how often a layer selected each expert, and k."""
    from pyarrow import types

    counts, k, row = np.zeros(experts, dtype=np.int64), 0, 0
    with open_parquet(path, error=ImportingError) as file:
        if _COLUMN not in file.schema_arrow.names:
            message = f"{path} has no column {_COLUMN!r}, which holds the experts of each token"
            raise ImportingError(message)
        kind = file.schema_arrow.field(_COLUMN).type
        is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if not is_list or not types.is_integer(kind.value_type):
            message = f"{path} has {kind} in the column {_COLUMN!r}: lists of whole numbers are needed"
            raise ImportingError(message)
        for batch in batches_of(file, path, [_COLUMN], rows=_ROWS, error=ImportingError):
            column = batch.column(0)
            with reading_parquet(path, error=ImportingError):
                values = column.flatten()
                lengths = np.asarray(column.value_lengths().fill_null(-1))
            k = k or int(lengths.max(initial=0))
            if values.null_count or (lengths != k).any() or k < 1:
                message = f"{path}: a row has another number of experts than k = {k}, or none: it is not whole"
                raise ImportingError(message)
            rows = values.to_numpy(zero_copy_only=False).astype(np.int64).reshape(len(lengths), 1, k)
            place = f"{path}, from row {row}"
            counts += np.bincount(
                check_selections(rows, RouterLayout((layer,), (experts,), (k,)), place).ravel(), minlength=experts
            )
            row += len(lengths)
    return counts, k
