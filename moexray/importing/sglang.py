"""Files of SGLang's expert distribution recorder, in its modes ``stat`` and ``per_token``.

Source: sglang 0.5.23, ``sglang/srt/eplb/expert_distribution.py``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.pickles import Constructor
from moexray.importing.reading import (
    ImportedPrompt,
    Reading,
    check_selections,
    layout_of,
    read_counts,
    routed_prompt,
)
from moexray.importing.stated import SEGMENTS, Stated
from moexray.importing.torch_file import StoredTensor, read_torch
from moexray.routing import RouterLayout

_EXTEND, _DECODE, _MIXED, _IDLE = 1, 2, 3, 4  # ForwardMode
_MAP = "last_physical_to_logical_map"
_ROUTED = "topk_ids_of_layer"


def _forward_mode(value: int) -> int:
    return int(value)


# The one class beside tensors that such files hold; some versions save its number alone.
_CONSTRUCTORS: dict[str, Constructor] = {"sglang.srt.model_executor.forward_batch_info.ForwardMode": _forward_mode}


def read_sglang(source: Path, stated: Stated) -> Reading:
    """Open a file of the recorder: see docs/import.md."""
    stated.refuse(["mapping"], source)
    found = read_torch(source, _CONSTRUCTORS)
    if isinstance(found, dict) and "logical_count" in found:
        return _read_counts(source, found["logical_count"], stated)
    records = found.get("records") if isinstance(found, dict) else None
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records) or _MAP not in found:
        message = f"{source} is no file of SGLang's recorder: it has neither logical_count nor records and {_MAP}"
        raise ImportingError(message)
    if any(_ROUTED not in one for one in records):
        message = (
            f"{source} has records without {_ROUTED}: files of the mode per_pass are of one rank's counts and are not "
            "read; record with --expert-distribution-recorder-mode stat or per_token"
        )
        raise ImportingError(message)
    return _read_tokens(source, records, _array(found[_MAP], 2, f"{source}, {_MAP}"), stated)


def _read_counts(source: Path, tensor: Any, stated: Stated) -> Reading:
    """Read loads: ``logical_count`` is ``(steps, layers, experts)``, with unused steps and dense layers at zero."""
    stated.refuse(["prompts"], source)
    steps = _array(tensor, 3, f"{source}, logical_count")
    if steps.min(initial=0) < 0:
        message = f"{source}: a count is {steps.min()}: counts are zero or more"
        raise ImportingError(message)
    counts = steps.sum(axis=0, dtype=np.int64)
    stated.agree("num_experts", counts.shape[1], source)
    layers = stated.layers or tuple(np.flatnonzero(counts.any(axis=1)).tolist())
    if not layers or layers[-1] >= len(counts):
        wrong = "not of those stated" if layers else "and none is above 0"
        message = f"{source} has counts of {len(counts)} layers, {wrong}"
        raise ImportingError(message)
    top_k = stated.need("top_k", source, "how many experts a token is sent to")
    layout = layout_of(layers, counts.shape[1], top_k, source)
    segment = stated.phase(source)
    found = read_counts(counts[list(layers)], layout, stated, segment=segment, files=(source,), name=source.stem)
    return replace(found, unknown=(*found.unknown, "whether counts are exact (stat) or approximate (stat_approx)"))


@dataclass(frozen=True)
class _Pass:
    """One forward pass: its tokens, their ids and positions, what they are, and the sequences of an extend pass."""

    place: str
    experts: NDArray[Any]  # (layers, tokens, width), −1 where nothing was written
    token_ids: NDArray[Any]
    positions: NDArray[Any]
    mode: int
    lengths: list[int]


def _read_tokens(source: Path, records: Sequence[dict[str, Any]], to_logical: NDArray[Any], stated: Stated) -> Reading:
    prompts = stated.need("prompts", source, "which tokens are of one request")
    if prompts not in ("pool", "sequences"):
        message = f"`prompts` is {prompts!r}: it must be pool or sequences"
        raise ImportingError(message)
    experts = _logical_experts(to_logical, source)
    stated.agree("num_experts", experts, source)
    layers, top_k = _layers_and_k(source, records, len(to_logical))
    stated.agree("top_k", top_k, source)
    if stated.layers not in (None, layers):
        message = f"{source} has routing of the layers {', '.join(map(str, layers))}, not of those stated"
        raise ImportingError(message)
    layout = layout_of(layers, experts, top_k, source)
    if stated.tokens_are not in (None, "mixed") or (stated.tokens_are and prompts == "sequences"):
        message = f"{source} says of each pass what its tokens are: leave `tokens_are` out"
        raise ImportingError(message)
    moved = bool((to_logical != np.arange(to_logical.shape[1])).any())
    unknown = ["whether EPLB moved experts during the recording, since only its last map is there"] if moved else []
    notes: dict[str, Any] = {"prompts": prompts}
    if prompts == "pool":
        mixed = stated.tokens_are == "mixed"
        unknown += ["prompts", *(["phases"] if mixed else [])]

        def read() -> Iterator[ImportedPrompt]:
            yield _pool(source, records, to_logical, layout, stated, mixed=mixed)

    else:
        decoded = sum(one.mode == _DECODE and len(one.token_ids) for one in _passes(source, records))
        notes["generated_tokens_left_out"] = int(decoded)

        def read() -> Iterator[ImportedPrompt]:
            return _sequences(source, records, to_logical, layout, stated)

    return Reading(
        layout,
        read,
        files=(source,),
        model=stated.model,
        has_sequences=prompts == "sequences",
        unknown=tuple(unknown),
        notes=notes,
    )


def _pool(
    source: Path,
    records: Sequence[dict[str, Any]],
    to_logical: NDArray[Any],
    layout: RouterLayout,
    stated: Stated,
    *,
    mixed: bool,
) -> ImportedPrompt:
    """Return all tokens together; those of extend passes are prompt tokens, those of decode passes generated."""
    counts = np.zeros((len(SEGMENTS), len(layout.layers), max(layout.experts)), dtype=np.uint64)
    tokens = np.zeros(len(SEGMENTS), dtype=np.int64)
    for one in _passes(source, records):
        if one.mode == _MIXED and not mixed:
            message = (
                f"{one.place} mixes prompts and generated tokens, and does not tell them apart: state "
                '`tokens_are="mixed"`, or record without --enable-mixed-chunk'
            )
            raise ImportingError(message)
        segment = len(SEGMENTS) - 1 if mixed else int(one.mode == _DECODE)
        rows = _selections(one, to_logical, layout)
        part = routed_prompt(rows, np.full(len(rows), segment), None, layout, id="", category="")
        counts += part.counts.astype(np.uint64)
        tokens += part.tokens
    name = source.stem
    return ImportedPrompt(name, stated.category or name, counts, tokens)


def _sequences(
    source: Path, records: Sequence[dict[str, Any]], to_logical: NDArray[Any], layout: RouterLayout, stated: Stated
) -> Iterator[ImportedPrompt]:
    """Yield each sequence of the extend passes as a prompt; tokens of decode passes cannot be told apart."""
    number = 0
    for one in _passes(source, records):
        if one.mode == _DECODE:
            continue
        if one.mode == _MIXED:
            message = f"{one.place} mixes prompts and generated tokens: take `prompts=pool`"
            raise ImportingError(message)
        if sum(one.lengths) != len(one.token_ids):
            message = f"{one.place} has sequences of {sum(one.lengths):,} tokens, and {len(one.token_ids):,} tokens"
            raise ImportingError(message)
        rows, start = _selections(one, to_logical, layout), 0
        for length in one.lengths:
            end = start + length
            if not np.array_equal(one.positions[start:end], np.arange(length)):
                message = (
                    f"{one.place} has a sequence that begins at position {one.positions[start]}: its beginning was "
                    "taken from the prefix cache or computed in another pass; record with --disable-radix-cache and "
                    "--chunked-prefill-size -1, or take `prompts=pool`"
                )
                raise ImportingError(message)
            number += 1
            yield routed_prompt(
                rows[start:end],
                np.zeros(length, dtype=np.int8),
                one.token_ids[start:end],
                layout,
                id=f"{source.stem}-{number:02}",
                category=stated.category or source.stem,
            )
            start = end


def _passes(source: Path, records: Sequence[dict[str, Any]]) -> Iterator[_Pass]:
    """Yield the passes that had tokens."""
    for number, record in enumerate(records, start=1):
        place = f"{source} record {number}"
        mode = record.get("forward_mode")
        ids = _array(record.get("input_ids"), 1, f"{place}, input_ids")
        if mode == _IDLE or not len(ids):
            continue
        if mode not in (_EXTEND, _DECODE, _MIXED):
            message = f"{place} is of forward mode {mode!r}: only extend, decode and mixed passes are read"
            raise ImportingError(message)
        positions = _array(record.get("positions"), 1, f"{place}, positions")
        experts = _array(record[_ROUTED], 3, f"{place}, {_ROUTED}")
        if experts.shape[1] != len(ids) or len(positions) != len(ids):
            message = f"{place} has {len(ids)} tokens, {len(positions)} positions and rows for {experts.shape[1]}"
            raise ImportingError(message)
        if ids.min() < 0 or ids.max() >= 2**31:
            message = (
                f"{place}: a token has the id {ids.min() if ids.min() < 0 else ids.max()}, which no vocabulary has"
            )
            raise ImportingError(message)
        lengths = record.get("extend_seq_lens")
        sizes = [] if lengths is None else _array(lengths, 1, f"{place}, extend_seq_lens").tolist()
        if any(length < 1 for length in sizes):
            message = f"{place} has a sequence of {min(sizes)} tokens"
            raise ImportingError(message)
        yield _Pass(place, experts, ids, positions, int(mode), sizes)


def _layers_and_k(source: Path, records: Sequence[dict[str, Any]], layers: int) -> tuple[tuple[int, ...], int]:
    """Return the layers that route, and k: how many ids each of their rows has before the −1 that fill it."""
    least, most = np.full(layers, np.iinfo(np.int64).max), np.zeros(layers, dtype=np.int64)
    for one in _passes(source, records):
        if len(one.experts) != layers:
            message = f"{one.place} has {len(one.experts)} layers, and {_MAP} has {layers}"
            raise ImportingError(message)
        there = one.experts >= 0
        if (there[:, :, 1:] > there[:, :, :-1]).any():
            message = f"{one.place} has a row with −1 before an id: it is not whole"
            raise ImportingError(message)
        sizes = there.sum(axis=2)
        least, most = np.minimum(least, sizes.min(axis=1)), np.maximum(most, sizes.max(axis=1))
    routed = np.flatnonzero(most)
    if not len(routed):
        message = f"{source} holds no token with a selected expert"
        raise ImportingError(message)
    for layer in routed:
        if not least[layer] == most[layer] == most[routed[0]]:
            message = (
                f"{source}: layer {layer} sends tokens to {least[layer]} to {most[layer]} experts, layer "
                f"{routed[0]} to {most[routed[0]]}: rows were not written, or k varies, which is not read"
            )
            raise ImportingError(message)
    return tuple(routed.tolist()), int(most[routed[0]])


def _logical_experts(to_logical: NDArray[Any], source: Path) -> int:
    """Return how many logical experts a map from physical ones has, each of which every layer must hold."""
    experts = int(to_logical.max(initial=-1)) + 1
    if not 1 <= experts <= to_logical.shape[1] or to_logical.min() < 0:
        message = f"{source}: {_MAP} names experts {to_logical.min(initial=0)} to {experts - 1}: it is not whole"
        raise ImportingError(message)
    for layer, row in enumerate(to_logical):
        if len(np.unique(row)) != experts:
            message = f"{source}: {_MAP} has no place for some of {experts} experts in layer {layer}"
            raise ImportingError(message)
    return experts


def _selections(one: _Pass, to_logical: NDArray[Any], layout: RouterLayout) -> NDArray[np.int16]:
    """Return the logical experts of a pass ``(tokens, layers, k)``."""
    physical = one.experts[list(layout.layers), :, : layout.top_k[0]]
    if physical.max(initial=0) >= to_logical.shape[1]:
        message = (
            f"{one.place} has the physical expert {physical.max()}, and {_MAP} has {to_logical.shape[1]}: shared "
            "experts may be fused, for which the recorder writes wrong ids (--disable-shared-experts-fusion)"
        )
        raise ImportingError(message)
    rows = np.stack([to_logical[layer][ids] for layer, ids in zip(layout.layers, physical, strict=True)], axis=1)
    return check_selections(rows, layout, one.place)


def _array(value: Any, axes: int, place: str) -> NDArray[Any]:
    """Return whole numbers of a tensor or a list."""
    if isinstance(value, list) and axes == 1:
        if any(type(one) is not int or not -(2**62) < one < 2**62 for one in value):
            message = f"{place} must be whole numbers"
            raise ImportingError(message)
        return np.array(value, dtype=np.int64)
    if not isinstance(value, StoredTensor) or len(value.shape) != axes or value.storage.dtype.kind not in "iu":
        message = f"{place} must be a tensor of whole numbers with {axes} axes"
        raise ImportingError(message)
    return value.read().astype(np.int64)
