"""Router traces of Megatron-core: ``router_trace_rank*.jsonl``, a record for each step and layer.

Source: megatron-core 0.19.2, ``megatron/core/transformer/moe/router_trace.py``.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.reading import Reading, check_selections, layout_of, read_counts
from moexray.importing.records import json_records
from moexray.importing.stated import Stated
from moexray.routing import RouterLayout

_FIELDS = ("block", "layer", "num_tokens", "topk", "top_indices")


def read_megatron(source: Path, stated: Stated) -> Reading:
    """Open a trace of one rank: see docs/import.md."""
    stated.refuse(["mapping", "prompts"], source)
    experts = stated.need("num_experts", source, "how many experts a layer has")
    segment = stated.phase(source)
    of_layer: dict[int, NDArray[np.int64]] = {}
    top_k, left_out = 0, 0
    for place, record in json_records(source, {name: name for name in _FIELDS}):
        if record["block"] != "decoder":
            left_out += 1
            continue
        layer, tokens, k = (record[name] for name in ("layer", "num_tokens", "topk"))
        if any(type(one) is not int or not 0 <= one < 2**31 for one in (layer, tokens, k)) or layer > 2**14:
            message = f"{place}: layer, num_tokens and topk must be whole numbers, not {layer!r}, {tokens!r}, {k!r}"
            raise ImportingError(message)
        if top_k not in (0, k):
            message = f"{place} has k = {k}, and records before it {top_k}"
            raise ImportingError(message)
        if not top_k:
            stated.agree("top_k", k, source)
            layout_of((0,), experts, k, source)
        top_k = k
        rows = _rows(record["top_indices"], tokens, k, place)
        rows = check_selections(rows, RouterLayout((layer,), (experts,), (k,)), place)
        if layer not in of_layer:
            of_layer[layer] = np.zeros(experts, dtype=np.int64)
            layout_of(tuple(of_layer), experts, k, source)  # refuses more than a model has
        of_layer[layer] += np.bincount(rows.ravel(), minlength=experts)
    if not of_layer:
        message = f"{source} holds no record of the decoder"
        raise ImportingError(message)
    why = f"which layers of the model its {len(of_layer)} are: under pipeline parallelism it numbers those of a stage"
    layers = stated.need("layers", source, why)
    if len(layers) != len(of_layer):
        message = f"{source} has {len(of_layer)} layers ({', '.join(map(str, sorted(of_layer)))}), not {len(layers)}"
        raise ImportingError(message)
    layout = layout_of(layers, experts, top_k, source)
    counts = np.stack([of_layer[layer] for layer in sorted(of_layer)])
    notes = {"records_of_mtp_left_out": left_out} if left_out else {}
    return read_counts(counts, layout, stated, segment=segment, files=(source,), name=source.stem, notes=notes)


def _rows(value: Any, tokens: int, k: int, place: str) -> NDArray[Any]:  # (tokens, 1, k)
    """Return the rows of a record."""
    whole = isinstance(value, list) and len(value) == tokens
    if not whole or any(type(row) is not list or len(row) != k or {type(one) for one in row} - {int} for row in value):
        message = f"{place}: top_indices must be {tokens} rows of {k} whole numbers"
        raise ImportingError(message)
    if any(not 0 <= one < 2**31 for row in value for one in row):
        message = f"{place}: an expert is below 0 or above every number of experts"
        raise ImportingError(message)
    return np.array(value, dtype=np.int64).reshape(tokens, 1, k)
