"""The rows of a trace as they stand in its file, some whole prompts at a time: nothing is refused that can be shown."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.checks.recording import PHASES
from moexray.checks.rows import ABSENT, Rows
from moexray.errors import TraceError
from moexray.parquet_file import reading_parquet
from moexray.signatures import Signatures
from moexray.trace_file import COLUMNS, column_names, column_numbers, trace_tables


def trace_rows(path: Path, signatures: Signatures) -> Iterator[tuple[NDArray[np.int64], Rows]]:
    """Yield the places of some prompts among those of the signatures, and their rows.

    Raises
    ------
    TraceError
        If the file cannot be read, a cell is empty, or a prompt or phase is unknown.
    """
    import pyarrow as pa

    place_of = signatures.prompts.place_of()
    layer_of = {int(layer): place for place, layer in enumerate(signatures.layers)}
    width = int(signatures.top_k.max()) + 1
    rest = None
    for part in trace_tables(path, list(COLUMNS)):
        table = part if rest is None else pa.concat_tables([rest, part])
        with reading_parquet(path, error=TraceError):
            whole = table.num_rows - _rows_of_unfinished(table, signatures, place_of)
        rest = table.slice(whole) if whole < table.num_rows else None
        if whole:
            yield _block(path, table.slice(0, whole), place_of, layer_of, width)
    if rest is not None:
        yield _block(path, rest, place_of, layer_of, width)


def tokens_by_phase(signatures: Signatures, prompts: NDArray[np.int64]) -> NDArray[np.int64]:  # (prompts, phases)
    """Return how many tokens of each phase prompts have, by their signatures."""
    found = np.zeros((len(prompts), len(PHASES)), dtype=np.int64)
    for place, segment in enumerate(signatures.segments):
        found[:, PHASES.index(segment.phase)] += signatures.tokens[prompts, place]
    return found


def _rows_of_unfinished(table: Any, signatures: Signatures, place_of: Mapping[str, int]) -> int:
    """Return how many rows at the end are of a prompt whose signature counts more; of none where it has them all."""
    indices, names = column_names(table.column("prompt").combine_chunks().fill_null(""))
    others = np.flatnonzero(indices != indices[-1])
    last = len(indices) - (int(others[-1]) + 1 if len(others) else 0)
    place = place_of.get(names[indices[-1]])
    expected = 0 if place is None else int(signatures.tokens[place].sum()) * len(signatures.layers)
    return last if last < expected else 0


def _block(
    path: Path, table: Any, place_of: Mapping[str, int], layer_of: Mapping[int, int], width: int
) -> tuple[NDArray[np.int64], Rows]:
    with reading_parquet(path, error=TraceError):
        columns = {name: table.column(name).combine_chunks() for name in COLUMNS}
        empty = next((name for name in COLUMNS if columns[name].null_count), None)
        if empty is None and columns["experts"].flatten().null_count:
            empty = "one of its experts"
        if empty is not None:
            message = f"{path} has a row without {empty}"
            raise TraceError(message)
        indices, names = column_names(columns["prompt"])
        phases, phase_names = column_names(columns["phase"])
        layers = column_numbers(columns["layer"])
        ids = _dense(columns["experts"], width)
        numbers = {name: column_numbers(columns[name]) for name in ("position", "token_id")}
    unknown = [names[one] for one in np.unique(indices) if names[one] not in place_of]
    if unknown:
        message = f"{path} holds prompt {unknown[0]!r}, which the signatures do not"
        raise TraceError(message)
    strange = [phase_names[one] for one in np.unique(phases) if phase_names[one] not in PHASES]
    if strange:
        message = f"{path} holds tokens of the phase {strange[0]!r}: there are {', '.join(PHASES)}"
        raise TraceError(message)
    there, prompts = np.unique(indices, return_inverse=True)
    phase_of = np.array([PHASES.index(name) if name in PHASES else -1 for name in phase_names], dtype=np.int64)
    kinds, of_kind = np.unique(layers, return_inverse=True)
    places = np.array([layer_of.get(int(layer), -1) for layer in kinds], dtype=np.int64)
    rows = Rows(
        prompts=prompts.astype(np.int64),
        positions=numbers["position"],
        token_ids=numbers["token_id"],
        phases=phase_of[phases],
        layers=places[of_kind],
        ids=ids,
        names=[names[one] for one in there],
    )
    return np.array([place_of[name] for name in rows.names], dtype=np.int64), rows


def _dense(column: Any, width: int) -> NDArray[np.int64]:  # (rows, width)
    """Return lists of experts as an array; of a longer list the first ones, which is enough to call it too long."""
    import pyarrow.compute as pc

    lengths = column_numbers(pc.list_value_length(column))
    values = column_numbers(column.flatten())
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    found = np.full((len(lengths), width), ABSENT, dtype=np.int64)
    for place in range(width):
        there = lengths > place
        found[there, place] = values[starts[there] + place]
    return found
