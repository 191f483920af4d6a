"""The expert of the largest gate weight of each token and layer, read from a trace beside its blocks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.parquet_file import reading_parquet
from moexray.trace import Trace
from moexray.trace_file import column_numbers, open_trace_file, trace_tables
from moexray.trace_weights import problem_of_weights

_CURE = "`moexray capture --record trace` writes both"


class TopExperts:
    """Read the top experts of a trace, as many tokens at a time as its blocks hold.

    The order in which a router names its k experts need not be that of their weights, so the weights are read.
    """

    def __init__(self, trace: Trace) -> None:
        self._layers = len(trace.signatures.layers)
        self._parts = _tops(trace)
        self._rest = np.zeros(0, dtype=np.int64)

    @staticmethod
    def are_there(trace: Trace) -> bool:
        """Whether the trace has gate weights."""
        with open_trace_file(trace.path) as file:
            return "gate_weights" in file.schema_arrow.names

    def take(self, tokens: int) -> NDArray[np.int64]:  # (tokens, layers)
        """Return the top expert of the next tokens, −1 where a layer selected none."""
        rows, parts, held = tokens * self._layers, [self._rest], len(self._rest)
        while held < rows:
            parts.append(next(self._parts))
            held += len(parts[-1])
        joined = np.concatenate(parts)
        self._rest = joined[rows:]
        return joined[:rows].reshape(tokens, self._layers)


def _tops(trace: Trace) -> Iterator[NDArray[np.int64]]:
    import pyarrow.compute as pc

    for table in trace_tables(trace.path, ["experts", "gate_weights"]):
        with reading_parquet(trace.path, error=TraceError):
            experts, weights = (table.column(name).combine_chunks() for name in ("experts", "gate_weights"))
            problem = problem_of_weights(experts, weights)
            if problem is not None:
                message = f"{trace.path}: {problem[1]}: {_CURE}"
                raise TraceError(message)
            lengths = column_numbers(pc.list_value_length(experts))
            values = np.asarray(weights.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
            chosen = column_numbers(experts.flatten())
        yield _largest(values, chosen, lengths)


def _largest(values: NDArray[np.float64], chosen: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    k = int(lengths.max(initial=0))
    if k == 0:
        return np.full(len(lengths), -1)
    there = np.arange(k) < lengths[:, None]
    weight, expert = np.full(there.shape, -np.inf), np.full(there.shape, -1)
    weight[there], expert[there] = values, chosen
    return np.asarray(np.take_along_axis(expert, weight.argmax(axis=1)[:, None], axis=1)[:, 0])
