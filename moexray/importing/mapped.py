"""Any JSON Lines, Parquet or .npz file with a record a prompt, by a mapping that the user wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.arrays import decode_array
from moexray.importing.mapping import AXES, Mapping, read_mapping
from moexray.importing.reading import ImportedPrompt, Reading, check_selections, layout_of, routed_prompt
from moexray.importing.records import Record, json_records, npz_records, parquet_records
from moexray.importing.stated import Stated
from moexray.routing import RouterLayout

_RECORDS = {".jsonl": json_records, ".parquet": parquet_records, ".npz": npz_records}


def read_mapped(source: Path, stated: Stated) -> Reading:
    """Open a file whose records a mapping describes: see docs/import.md."""
    if stated.mapping is None:
        message = f"{source}: `mapping` must name a TOML file that says which field holds what"
        raise ImportingError(message)
    stated.refuse(["prompts"], source)
    mapping, stated = read_mapping(stated.mapping, stated)
    suffix = source.suffix.lower()
    if suffix not in _RECORDS:
        message = f"{source} is neither a {', a '.join(list(_RECORDS)[:-1])} nor an {list(_RECORDS)[-1]} file"
        raise ImportingError(message)
    if ("length" in mapping.fields) and suffix != ".npz":
        message = f"{stated.mapping}: length is for .npz files: a record of {source} holds its own tokens only"
        raise ImportingError(message)
    if "category" in mapping.fields and stated.category is not None:
        message = f"{stated.mapping} names the field of categories: leave `category` out"
        raise ImportingError(message)
    if "prompt_length" in mapping.fields:
        if stated.tokens_are is not None:
            message = f"{stated.mapping} names the field of prompt lengths: leave `tokens_are` out"
            raise ImportingError(message)
        segment = None
    else:
        segment = stated.phase(f"{stated.mapping}, which names no field prompt_length,")
    layers = stated.need("layers", source, "which layers of the model route")
    experts = stated.need("num_experts", source, "how many experts a layer has")
    layout = layout_of(layers, experts, stated.need("top_k", source, "how many experts a token is sent to"), source)

    defaults = _Defaults(source.stem, stated.category or source.stem, segment)

    def prompts() -> Iterator[ImportedPrompt]:
        for number, record in enumerate(_RECORDS[suffix](source, mapping.fields), start=1):
            yield _prompt(record, number, mapping, layout, defaults)

    unknown = [] if mapping.token_fields else ["token ids"]
    if segment == len(layout.segments) - 1:
        unknown.append("phases")
    return Reading(
        layout,
        prompts,
        files=(source,),
        model=stated.model,
        has_sequences=bool(mapping.token_fields),
        unknown=tuple(unknown),
        notes={"mapping": {**mapping.fields, "axes": list(mapping.axes), "encoding": mapping.encoding}},
    )


@dataclass(frozen=True)
class _Defaults:
    """What a record has where no field gives it: the start of its id, a category, and the segment of all tokens."""

    name: str
    category: str
    segment: int | None


def _prompt(record: Record, number: int, mapping: Mapping, layout: RouterLayout, defaults: _Defaults) -> ImportedPrompt:
    place, values = record
    experts = check_selections(_experts(values["experts"], mapping, layout, place), layout, place)
    token_ids = _token_ids(values, mapping, len(experts), place)
    if defaults.segment is None:
        length = _prompt_length(values["prompt_length"], len(experts), place)
        segments = (np.arange(len(experts)) >= length).astype(np.int8)
    else:
        segments = np.full(len(experts), defaults.segment, dtype=np.int8)
    words = {
        part: "" if values[part] in ("", None) else _text(values[part], f"{place}, {part}")
        for part in ("group", "text", "output")
        if part in values
    }
    return routed_prompt(
        experts,
        segments,
        token_ids,
        layout,
        id=_text(values["prompt_id"], f"{place}, prompt_id")
        if "prompt_id" in values
        else f"{defaults.name}-{number:02}",
        category=_text(values["category"], f"{place}, category") if "category" in values else defaults.category,
        **words,
    )


def _experts(value: Any, mapping: Mapping, layout: RouterLayout, place: str) -> NDArray[Any]:  # (tokens, layers, k)
    place = f"{place}, {mapping.fields['experts']}"
    array = _numbers(value, place) if mapping.encoding == "lists" else decode_array(value, mapping.encoding, place)
    k = layout.top_k[0]
    if array.ndim == 1 and mapping.layer_rows is not None:
        sizes = {"tokens": -1, "layers": mapping.layer_rows, "k": k}
        if len(array) % (mapping.layer_rows * k):
            message = (
                f"{place} has {len(array):,} numbers, which {mapping.layer_rows} layers times k = {k} do not divide"
            )
            raise ImportingError(message)
        array = array.reshape([sizes[axis] for axis in mapping.axes])
    if array.dtype.kind not in "iu" or array.ndim != 3:
        shaped = f"{array.dtype} of shape {array.shape}"
        message = f"{place} is {shaped}: whole numbers with the axes {', '.join(mapping.axes)} are needed" + (
            ", or `layer_rows` in the mapping" if array.ndim == 1 else ""
        )
        raise ImportingError(message)
    array = array.transpose([mapping.axes.index(axis) for axis in AXES])
    if array.shape[2] != k or not array.shape[0]:
        message = f"{place} has {array.shape[0]} tokens with {array.shape[2]} experts each, not k = {k}: is axes right?"
        raise ImportingError(message)
    return _rows_of_layers(array, layout, place)


def _rows_of_layers(array: NDArray[Any], layout: RouterLayout, place: str) -> NDArray[Any]:
    """Return the rows of the MoE layers: the axis has one for each of them, or for each layer of the model."""
    rows, layers = array.shape[1], list(layout.layers)
    if rows == len(layers):
        return array
    if rows > layers[-1]:
        return array[:, layers]
    message = (
        f"{place} has {rows} layers: the {len(layers)} that were stated end at {layers[-1]}, so that it must have "
        f"{len(layers)}, or a row for each layer of the model"
    )
    raise ImportingError(message)


def _token_ids(values: dict[str, Any], mapping: Mapping, tokens: int, place: str) -> NDArray[Any] | None:
    if not mapping.token_fields:
        return None
    parts = [_numbers(values[part], f"{place}, {mapping.fields[part]}") for part in mapping.token_fields]
    if any(part.ndim != 1 or (part.size and part.dtype.kind not in "iu") for part in parts):
        message = f"{place}: token ids must be whole numbers in one row"
        raise ImportingError(message)
    found = np.concatenate(parts)
    expected = tokens + mapping.last_token_unrouted
    if len(found) != expected:
        more = (
            "" if len(found) != tokens + 1 else "; where the last one passed no router, say last_token_unrouted = true"
        )
        message = f"{place} has {len(found)} token ids for {tokens} rows of experts{more}"
        raise ImportingError(message)
    found = found[:tokens]
    if found.min(initial=0) < 0 or found.max(initial=0) >= 2**31:
        message = (
            f"{place}: a token has the id {found.min() if found.min() < 0 else found.max()}, which no vocabulary has"
        )
        raise ImportingError(message)
    return found


def _prompt_length(value: Any, tokens: int, place: str) -> int:
    """Return how many of the tokens were given: a number, or a list of as many."""
    length = len(value) if isinstance(value, list | np.ndarray) else value
    if type(length) is not int or not 0 <= length <= tokens:
        message = f"{place}: prompt_length is {length!r}, not one of 0 to {tokens} tokens"
        raise ImportingError(message)
    return length


def _numbers(value: Any, place: str) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, list):
        message = f"{place} is {type(value).__name__}, not lists of whole numbers: is the encoding another?"
        raise ImportingError(message)
    shape, flat = [len(value)], value
    while flat and isinstance(flat[0], list):
        if any(not isinstance(one, list) or len(one) != len(flat[0]) for one in flat):
            message = f"{place} holds lists that are not equally long"
            raise ImportingError(message)
        shape.append(len(flat[0]))
        flat = list(chain.from_iterable(flat))
    strange = set(map(type, flat)) - {int}
    if strange or (flat and not -(2**62) < min(flat) <= max(flat) < 2**62):
        held = ", ".join(sorted(one.__name__ for one in strange)) or "numbers of more than 62 bits"
        message = f"{place} holds {held}: whole numbers are needed"
        raise ImportingError(message)
    return np.array(flat, dtype=np.int64).reshape(shape)


def _text(value: Any, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        message = f"{place} is {str(value)[:40]!r}: it must be a text or a whole number"
        raise ImportingError(message)
    return str(value)
