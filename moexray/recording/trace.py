"""Every token's experts, as a Parquet file that is written prompt by prompt."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moexray.errors import CaptureError
from moexray.files import whole_file
from moexray.prompts import Prompt
from moexray.recording.journal import Row
from moexray.routing import RouterLayout

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow

    from moexray.engines.transformers.engine import TransformersEngine

# Rows of the table in a row group: enough to compress well, few enough to hold.
_ROW_GROUP = 2**16


def check_trace() -> None:
    """Raise CaptureError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        message = "a trace is a Parquet file, which needs pyarrow: pip install 'moexray[parquet]'"
        raise CaptureError(message) from error


def write_trace(path: Path, rows: Iterable[Row], prompts: Sequence[Prompt], engine: "TransformersEngine") -> None:
    """Write one row for each token and layer: see docs/trace.md.

    Raises
    ------
    CaptureError
        If pyarrow is not installed.
    """
    check_trace()
    from pyarrow import parquet

    text_of = cache(engine.text_of)
    with whole_file(path) as partial, parquet.ParquetWriter(partial, _schema(), compression="zstd") as writer:
        for table in _tables(rows, prompts, engine.layout, text_of):
            writer.write_table(table)


def _schema() -> "pyarrow.Schema":
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            ("prompt", words),
            ("position", pa.int32()),
            ("token_id", pa.int32()),
            ("token", words),
            ("phase", words),
            ("layer", pa.int16()),
            ("experts", pa.list_(pa.int16())),
            ("gate_weights", pa.list_(pa.float32())),
        ]
    )


def _tables(
    rows: Iterable[Row], prompts: Sequence[Prompt], layout: RouterLayout, text_of: "Callable[[int], str]"
) -> "Iterator[pyarrow.Table]":
    together: list[tuple[str, Row]] = []
    size = 0
    for prompt, row in zip(prompts, rows, strict=True):
        together.append((prompt.id, row))
        size += len(row["token_ids"]) * len(layout.layers)
        if size >= _ROW_GROUP:
            yield _table(together, layout, text_of)
            together, size = [], 0
    if together:
        yield _table(together, layout, text_of)


def _table(
    together: Sequence[tuple[str, Row]], layout: RouterLayout, text_of: "Callable[[int], str]"
) -> "pyarrow.Table":
    import pyarrow as pa

    layers = len(layout.layers)
    lengths = [len(row["token_ids"]) for _, row in together]
    token_ids = np.concatenate([row["token_ids"] for _, row in together])
    generated = np.concatenate(
        [np.arange(n) >= row["prompt_length"][0] for n, (_, row) in zip(lengths, together, strict=True)]
    )
    known, places = np.unique(token_ids, return_inverse=True)
    experts = np.concatenate([row["experts"] for _, row in together])
    weights = np.concatenate([row["gate_weights"] for _, row in together])
    selected = experts >= 0

    def for_each_layer(values: Any) -> Any:
        return np.repeat(values, layers)

    def named(numbers: Any, names: Sequence[str]) -> "pyarrow.DictionaryArray":
        return pa.DictionaryArray.from_arrays(for_each_layer(numbers).astype(np.int32), pa.array(names, pa.string()))

    offsets = np.concatenate([[0], np.cumsum(selected.sum(axis=2).ravel())]).astype(np.int32)
    columns = [
        named(np.repeat(np.arange(len(together)), lengths), [name for name, _ in together]),
        for_each_layer(np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)),
        for_each_layer(token_ids),
        named(places, [text_of(int(token)) for token in known]),
        named(generated, ["prompt", "generated"]),
        np.tile(np.asarray(layout.layers, dtype=np.int16), len(token_ids)),
        pa.ListArray.from_arrays(offsets, experts[selected]),
        pa.ListArray.from_arrays(offsets, weights[selected].astype(np.float32)),
    ]
    return pa.table(columns, schema=_schema())
