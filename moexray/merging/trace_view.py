"""Several traces as one that is not written: they are read, some prompts at a time, when asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from moexray.errors import TraceError
from moexray.merging.order import Order
from moexray.merging.traces import texts_of
from moexray.merging.view import SignaturesView
from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.trace import Trace
from moexray.trace_file import SCORES, WEIGHTS, rows_together
from moexray.trace_sequences import columns_of

if TYPE_CHECKING:
    import pandas


def trace_of(traces: Sequence[Trace], signatures: Signatures) -> Trace:
    """Return the traces of several captures as one; `signatures` is the view of theirs.

    Raises
    ------
    TraceError
        If `signatures` are not a view, or there is not one trace for each of its parts.
    """
    if not isinstance(signatures, SignaturesView):
        if len(traces) == 1:
            return traces[0]
        message = f"{len(traces)} traces go with as many files of signatures, not with one: name a trace for each"
        raise TraceError(message)
    parts = signatures.plan.parts
    ordered = [next((trace for trace in traces if trace.signatures is part), None) for part in parts]
    held = [trace for trace in ordered if trace is not None]
    if len(held) < len(parts) or len(traces) > len(parts):
        number = f"there are {len(traces)} traces" if len(traces) != 1 else "there is 1 trace"
        message = f"{number} of {len(parts)} files of signatures: name one trace for each file"
        raise TraceError(message)
    return TraceView(held[0].path, signatures, tuple(held), signatures.plan.order)


@dataclass(frozen=True, eq=False)
class TraceView(Trace):
    """The traces of the parts of a view, in the order of its prompts; made by `trace_of`.

    Its blocks end where those of the merged file would: sums of blocks are the same to the last bit.
    """

    parts: tuple[Trace, ...]
    order: Order

    def blocks(self, *, scores: bool = False, weights: bool = False) -> Iterator[RoutedTokens]:
        """Yield the tokens of all prompts; see `Trace.blocks`."""
        held: list[RoutedTokens] = []
        size, most = 0, rows_together(int(self.signatures.experts.max()), scores=self._have(SCORES))
        streams = [partial(_by_prompt, trace, scores=scores, weights=weights) for trace in self.parts]
        for place, tokens in enumerate(self.order.each(streams)):
            if not len(tokens):
                continue
            held.append(replace(tokens, prompts=np.full(len(tokens), place)))
            size += len(tokens) * len(self.signatures.layers)
            if size >= most:
                yield RoutedTokens.joined(held)
                held, size = [], 0
        if held:
            yield RoutedTokens.joined(held)

    def unchecked_blocks(self, columns: Sequence[str] = (), *, rows: int | None = None) -> Iterator[RoutedTokens]:
        """Yield what `blocks` yields."""
        del rows
        return self.blocks(scores=SCORES in columns, weights=WEIGHTS in columns)

    def texts(self) -> dict[int, str]:
        """Return the text of every token id, where all traces hold them; `TraceError` if an id has two."""
        return texts_of(self.parts) if self._have("token") else {}

    def to_pandas(self, tokens: str = "all") -> "pandas.DataFrame":
        """Refuse: a data frame is of one file."""
        del tokens
        message = (
            f"{self.path} is one of {len(self.parts)} traces: `moexray merge` writes one file of them, which gives "
            "a data frame"
        )
        raise TraceError(message)

    def _have(self, column: str) -> bool:
        return all(column in columns_of(trace) for trace in self.parts)


def _by_prompt(trace: Trace, *, scores: bool, weights: bool) -> Iterator[RoutedTokens]:
    """Yield the tokens of each prompt of the signatures, in their order; none of a prompt without tokens."""
    place, empty = 0, None
    has_tokens = np.asarray(trace.signatures.tokens.any(axis=1))
    for block in trace.blocks(scores=scores, weights=weights):
        empty = block.take(np.arange(0))
        starts = np.flatnonzero(np.diff(block.prompts, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(block)], strict=True):
            prompt = int(block.prompts[start])
            while place < prompt and not has_tokens[place]:
                yield empty
                place += 1
            if place != prompt:
                ids = trace.signatures.prompts.ids
                message = (
                    f"{trace.path} is in another order than its signatures: prompt {ids[prompt]!r} stands where "
                    f"{ids[place]!r} belongs: `moexray capture --record trace` writes both"
                )
                raise TraceError(message)
            yield block.take(np.arange(start, end))
            place += 1
    for _ in range(place, len(trace.signatures)):
        yield empty if empty is not None else _no_tokens(trace)


def _no_tokens(trace: Trace) -> RoutedTokens:
    found = trace.signatures
    none = np.zeros(0, dtype=np.int64)
    experts = np.zeros((0, len(found.layers), int(found.top_k.max())), dtype=np.int16)
    return RoutedTokens(none, none, none, none, experts, found.segments)
