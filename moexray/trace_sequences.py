"""The routed sequences of a trace, prompt by prompt, as they were when it was written."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.routed_tokens import RoutedTokens
from moexray.routing import RoutedSequence
from moexray.trace import Trace
from moexray.trace_file import SCORES, WEIGHTS, open_trace_file

_CURE = "`moexray capture --record trace` writes both"
_MOST_ID = np.iinfo(np.int32).max


def columns_of(trace: Trace) -> frozenset[str]:
    """Return which of ``token``, ``gate_weights`` and ``scores`` a trace has."""
    with open_trace_file(trace.path) as file:
        return frozenset({"token", WEIGHTS, SCORES} & set(file.schema_arrow.names))


def sequences_of(trace: Trace, columns: frozenset[str], *, rows: int | None = None) -> Iterator[RoutedSequence]:
    """Yield the sequence of each prompt in the order of the signatures, without its text.

    All are compared with the counts of the signatures, which are read beside them, some prompts at a time.

    Parameters
    ----------
    trace
        The trace.
    columns
        Which of ``gate_weights`` and ``scores`` to read.
    rows
        The most rows that are read at once.

    Raises
    ------
    TraceError
        As `Trace.blocks`, or if prompts are in another order than in the signatures.
    """
    counts = _counts(trace)
    place = 0
    for block in trace.unchecked_blocks([name for name in (WEIGHTS, SCORES) if name in columns], rows=rows):
        if block.token_ids.max(initial=0) > _MOST_ID:
            message = f"{trace.path}: a token has the id {block.token_ids.max()}, which no vocabulary has: {_CURE}"
            raise TraceError(message)
        starts = np.flatnonzero(np.diff(block.prompts, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(block)], strict=True):
            prompt = int(block.prompts[start])
            while place < prompt and not trace.signatures.tokens[place].any():
                yield _checked(trace, place, _cut(block, 0, 0), next(counts))
                place += 1
            if place != prompt:
                ids = trace.signatures.prompts.ids
                message = (
                    f"{trace.path} is in another order than its signatures: prompt {ids[prompt]!r} stands where "
                    f"{ids[place]!r} belongs: {_CURE}"
                )
                raise TraceError(message)
            yield _checked(trace, place, _cut(block, start, end), next(counts))
            place += 1
    for rest in range(place, len(trace.signatures)):  # prompts without a token; others were missed before
        yield _checked(trace, rest, _nothing(trace, columns), next(counts))


def _counts(trace: Trace) -> Iterator[NDArray[np.unsignedinteger]]:
    for block in trace.signatures.blocks():
        yield from block.counts


def _cut(block: RoutedTokens, start: int, end: int) -> RoutedSequence:
    weights: Any = None if block.weights is None else block.weights[start:end]  # in the precision of the file
    return RoutedSequence(
        token_ids=block.token_ids[start:end].astype(np.int32),
        segments=block.segments[start:end].astype(np.int8),
        experts=block.experts[start:end],
        output="",
        gate_weights=weights,
        scores=None if block.scores is None else block.scores[start:end],
        segment_names=block.segment_names,
    )


def _nothing(trace: Trace, columns: frozenset[str]) -> RoutedSequence:
    found = trace.signatures
    layers, k = len(found.layers), int(found.top_k.max())
    return RoutedSequence(
        token_ids=np.zeros(0, dtype=np.int32),
        segments=np.zeros(0, dtype=np.int8),
        experts=np.zeros((0, layers, k), dtype=np.int16),
        output="",
        gate_weights=np.zeros((0, layers, k), dtype=np.float16) if WEIGHTS in columns else None,
        scores=np.zeros((0, layers, trace.width), dtype=np.float16) if SCORES in columns else None,
        segment_names=found.segments,
    )


def _checked(trace: Trace, place: int, sequence: RoutedSequence, counts: NDArray[np.unsignedinteger]) -> RoutedSequence:
    """Return a sequence whose selections add up to the counts of its prompt ``(segments, layers, experts)``."""
    segments, layers, width = counts.shape
    rows = sequence.segments.astype(np.int64)[:, None] * layers + np.arange(layers)  # (tokens, layers)
    cells = (rows[:, :, None] * width + sequence.experts)[sequence.experts >= 0]
    if (np.bincount(cells, minlength=segments * layers * width).reshape(counts.shape) != counts).any():
        name = trace.signatures.prompts.ids[place]
        message = f"{trace.path}: the selections of prompt {name!r} do not add up to its signature: {_CURE}"
        raise TraceError(message)
    return sequence
