"""The file of a trace: Parquet, one row for each token and MoE layer, written prompt by prompt."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.extras import import_extra
from moexray.files import whole_file
from moexray.parquet_file import batches_of, check_once, open_parquet
from moexray.routing import RoutedSequence, RouterLayout

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

# The end of its name, beside signatures.
SUFFIX = "trace.parquet"
# What a trace must have to be read.
COLUMNS = ("prompt", "position", "token_id", "phase", "layer", "experts")
# Those of whole numbers; experts are lists of them.
_NUMBERS = ("position", "token_id", "layer", "experts")
# Columns of texts that it may have, and those of gate weights (see `moexray.trace_weights`) and router scores.
_MORE = ("token", "kind")
WEIGHTS, SCORES = "gate_weights", "scores"
# Rows of the table in a row group: enough to compress well, few enough to hold.
_ROW_GROUP = 2**16
# Rows that are read at once, and router scores.
_MOST_ROWS = 2**18
_MOST_SCORES = 2**24


def write_trace(
    path: Path,
    sequences: Iterable[RoutedSequence],
    prompt_ids: Sequence[str],
    layout: RouterLayout,
    text_of: Callable[[int], str] | None,
    *,
    scores: bool = False,
    weights: bool = True,
) -> None:
    """Write one row for each token and layer: see docs/trace.md.

    Parameters
    ----------
    sequences
        One for each prompt, in order.
    text_of
        Returns what a token id stands for; None leaves the column of texts out.
    scores, weights
        Whether the sequences have router scores, and gate weights, which are then written as well.

    Raises
    ------
    MissingExtra
        If pyarrow is not installed.
    """
    with whole_file(path) as partial:
        fill_trace(partial, sequences, prompt_ids, layout, text_of, scores=scores, weights=weights)


def fill_trace(
    partial: Path,
    sequences: Iterable[RoutedSequence],
    prompt_ids: Sequence[str],
    layout: RouterLayout,
    text_of: Callable[[int], str] | None,
    *,
    scores: bool = False,
    weights: bool = True,
) -> None:
    """Write a trace, as `write_trace`, to a file that is not there yet."""
    parquet = import_parquet("writing a trace")
    text = None if text_of is None else cache(text_of)
    schema = _schema(scores=scores, weights=weights, texts=text is not None)
    # What takes a page of each row group: a dictionary of the numbers that there are saves nothing where all differ.
    coded = [name for name in schema.names if name != SCORES] if scores else True
    rows = rows_together(max(layout.experts), scores=scores)
    with parquet.ParquetWriter(partial, schema, compression="zstd", use_dictionary=coded) as writer:
        for some in _together(sequences, prompt_ids, len(layout.layers), rows=rows):
            writer.write_table(_table(some, layout, text, schema))


def rows_together(experts: int, *, scores: bool) -> int:
    """Return at how many rows a row group ends, with the prompt that it is at; `experts` are those of a layer."""
    return min(_ROW_GROUP, _MOST_SCORES // experts) if scores else _ROW_GROUP


def import_parquet(purpose: str) -> Any:
    """Import pyarrow's Parquet module; `MissingExtra` where it is not installed."""
    return import_extra("pyarrow.parquet", extra="parquet", purpose=purpose)


def open_trace_file(path: Path) -> "parquet.ParquetFile":
    """Open a trace; `TraceError` if it is missing, damaged or lacks a column."""
    if not path.is_file():
        message = f"{path} is not there: `moexray capture --record trace` writes a trace beside its signatures"
        raise TraceError(message)
    file = open_parquet(path, error=TraceError)
    from pyarrow.types import is_dictionary

    schema = file.schema_arrow
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        message = f"{path} has no column {missing[0]!r}, so it is no trace: `moexray capture --record trace` writes one"
        raise TraceError(message)
    check_once(path, schema.names, (*COLUMNS, *_MORE, WEIGHTS, SCORES), error=TraceError)
    for name in (*COLUMNS, *_MORE, WEIGHTS, SCORES):
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        if name in (WEIGHTS, SCORES):
            right, wanted = _is_fractions(kind), "lists of fractions"
        elif name in _NUMBERS:
            right, wanted = _is_whole(kind, is_list=name == "experts"), "whole numbers"
        else:
            right, wanted = _is_words(kind), "texts"
        if not right:
            held = kind.value_type if is_dictionary(kind) else kind
            message = f"{path} has {held} in the column {name!r}: a trace has {wanted} there"
            raise TraceError(message)
    return file


def trace_tables(
    path: Path, names: Sequence[str], *, experts: int = 1, rows: int | None = None
) -> Iterator["pyarrow.Table"]:
    """Yield some columns of a trace: each row group, or parts of one that is larger than moexray writes them.

    Parameters
    ----------
    path
        The trace.
    names
        The columns.
    experts
        Experts of a layer, where the router scores of all of them are read.
    rows
        The most that are read at once; by default a quarter of a million.

    Raises
    ------
    TraceError
        As `open_trace_file`, or if a page is damaged.
    """
    import pyarrow as pa

    most = max(1, min(_MOST_ROWS, rows or _MOST_ROWS, 2 * _MOST_SCORES // experts))
    with open_trace_file(path) as file:
        for group in range(file.num_row_groups):
            parts = batches_of(file, path, names, rows=most, error=TraceError, group=group)
            there = file.metadata.row_group(group).num_rows
            # pyarrow may hand out a row group in smaller parts than it was asked for.
            for some in [list(parts)] if there <= most else ([part] for part in parts):
                if some:
                    yield pa.Table.from_batches(some)


def column_numbers(column: Any) -> NDArray[np.int64]:
    """Return a column of whole numbers as an array."""
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(np.int64)


def column_names(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Return a column of names as the place of each row's name in a list of names."""
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return column_numbers(encoded.indices), encoded.dictionary.to_pylist()


def _is_whole(kind: Any, *, is_list: bool) -> bool:
    """Whether an Arrow type is one of whole numbers, or of lists of them."""
    from pyarrow import types

    return _is_list(kind) == is_list and bool(types.is_integer(kind.value_type if is_list else kind))


def _is_fractions(kind: Any) -> bool:
    """Whether an Arrow type is one of lists of floating-point numbers."""
    from pyarrow import types

    return _is_list(kind) and bool(types.is_floating(kind.value_type))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_words(kind: Any) -> bool:
    """Whether an Arrow type is one of texts, dictionary-encoded or not."""
    from pyarrow import types

    return any(
        is_one(kind.value_type if types.is_dictionary(kind) else kind)
        for is_one in (types.is_string, types.is_large_string, types.is_string_view)
    )


def _schema(*, scores: bool, weights: bool, texts: bool) -> "pyarrow.Schema":
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            ("prompt", words),
            ("position", pa.int32()),
            ("token_id", pa.int32()),
            *([("token", words)] if texts else []),
            ("phase", words),
            ("kind", words),
            ("layer", pa.int16()),
            ("experts", pa.list_(pa.int16())),
            *([(WEIGHTS, pa.list_(pa.float32()))] if weights else []),
            *([(SCORES, pa.list_(pa.float16()))] if scores else []),
        ]
    )


def _together(
    sequences: Iterable[RoutedSequence], prompt_ids: Sequence[str], layers: int, *, rows: int
) -> Iterator[list[tuple[str, RoutedSequence]]]:
    """Yield prompts in lots that make a row group."""
    together: list[tuple[str, RoutedSequence]] = []
    size = 0
    for name, sequence in zip(prompt_ids, sequences, strict=True):
        together.append((name, sequence))
        size += len(sequence.token_ids) * layers
        if size >= rows:
            yield together
            together, size = [], 0
    if together:
        yield together


def _table(
    together: Sequence[tuple[str, RoutedSequence]],
    layout: RouterLayout,
    text_of: Callable[[int], str] | None,
    schema: "pyarrow.Schema",
) -> "pyarrow.Table":
    import pyarrow as pa

    layers = len(layout.layers)
    sequences = [sequence for _, sequence in together]
    lengths = [len(sequence.token_ids) for sequence in sequences]
    token_ids = np.concatenate([sequence.token_ids for sequence in sequences])
    segments = np.concatenate([sequence.segments for sequence in sequences])
    experts = np.concatenate([sequence.experts for sequence in sequences])
    known, places = np.unique(token_ids, return_inverse=True)
    selected = experts >= 0

    def for_each_layer(values: Any) -> Any:
        return np.repeat(values, layers)

    def named(numbers: Any, names: Sequence[str]) -> "pyarrow.DictionaryArray":
        return pa.DictionaryArray.from_arrays(for_each_layer(numbers).astype(np.int32), pa.array(names, pa.string()))

    phases, kinds = (list(dict.fromkeys(getattr(one, part) for one in layout.segments)) for part in ("phase", "kind"))
    offsets = np.concatenate([[0], np.cumsum(selected.sum(axis=2).ravel())]).astype(np.int32)
    texts = [] if text_of is None else [text_of(int(token)) for token in known]
    columns = [
        named(np.repeat(np.arange(len(together)), lengths), [name for name, _ in together]),
        for_each_layer(np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)),
        for_each_layer(token_ids),
        *([] if text_of is None else [named(places, texts)]),
        named(np.array([phases.index(one.phase) for one in layout.segments])[segments], phases),
        named(np.array([kinds.index(one.kind) for one in layout.segments])[segments], kinds),
        np.tile(np.asarray(layout.layers, dtype=np.int16), len(token_ids)),
        pa.ListArray.from_arrays(offsets, experts[selected]),
    ]
    if WEIGHTS in schema.names:
        weights = np.concatenate([_weights(sequence) for sequence in sequences])
        columns.append(pa.ListArray.from_arrays(offsets, weights[selected].astype(np.float32)))
    if SCORES in schema.names:
        columns.append(_score_lists(sequences, layout))
    return pa.table(columns, schema=schema)


def _score_lists(sequences: Sequence[RoutedSequence], layout: RouterLayout) -> "pyarrow.ListArray":
    """Return the router scores of each row, as many as its layer has experts."""
    import pyarrow as pa

    scores = [one.scores for one in sequences if one.scores is not None]
    if len(scores) < len(sequences):
        message = "a trace with router scores needs those of every sequence"
        raise ValueError(message)
    there = np.arange(max(layout.experts)) < np.array(layout.experts)[:, None]  # (layers, experts)
    values = np.concatenate([one[:, there].ravel() for one in scores])
    lengths = np.tile(layout.experts, sum(map(len, scores)))
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), pa.array(values))


def _weights(sequence: RoutedSequence) -> NDArray[np.float16]:
    if sequence.gate_weights is None:
        message = "a trace needs the gate weights of every sequence"
        raise ValueError(message)
    return sequence.gate_weights
