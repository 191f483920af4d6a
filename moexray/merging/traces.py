"""The traces of several captures as one, as a stream."""

from collections.abc import Sequence
from functools import partial as bound
from pathlib import Path

from moexray.errors import TraceError
from moexray.merging.signatures import Plan
from moexray.routing import RouterLayout
from moexray.trace import Trace
from moexray.trace_file import SCORES, WEIGHTS, fill_trace
from moexray.trace_sequences import columns_of, sequences_of

# Rows that are read of all traces together, where they take turns, and the fewest of one.
_ROWS, _FEWEST = 2**20, 2**12
_SAID = {"token": "the texts of tokens", WEIGHTS: "gate weights", SCORES: "router scores"}


def fill_merged_trace(plan: Plan, paths: Sequence[Path], partial: Path) -> None:
    """Write one trace of the traces of all parts, each compared with its signatures.

    Texts of tokens, gate weights and router scores are kept where all traces have them.

    Parameters
    ----------
    plan
        The signatures.
    paths
        The trace of each, in the order of the plan.
    partial
        The trace to write; it is not there yet.

    Raises
    ------
    TraceError
        If a trace is damaged or not that of its signatures, two name a token differently, or those of shards have
        other columns.
    MissingExtra
        If pyarrow is not installed.
    """
    traces = [Trace.open(path, part) for path, part in zip(paths, plan.parts, strict=True)]
    columns = _columns(plan, traces)
    texts = texts_of(traces) if "token" in columns else None
    layout = RouterLayout(
        layers=tuple(plan.layers.tolist()),
        experts=tuple(plan.experts.tolist()),
        top_k=tuple(plan.top_k.tolist()),
        segments=plan.segments,
    )
    rows = max(_FEWEST, _ROWS // len(traces)) if plan.order.is_interleaved else None
    ids = list(plan.order.each([bound(iter, part.prompts.ids) for part in plan.parts]))
    sequences = plan.order.each([bound(sequences_of, trace, columns, rows=rows) for trace in traces])
    fill_trace(
        partial,
        sequences,
        ids,
        layout,
        None if texts is None else texts.__getitem__,
        scores=SCORES in columns,
        weights=WEIGHTS in columns,
    )


def _columns(plan: Plan, traces: Sequence[Trace]) -> frozenset[str]:
    found = [columns_of(trace) for trace in traces]
    common = frozenset.intersection(*found)
    if plan.order.is_interleaved:
        for one, trace in zip(found, traces, strict=True):
            if one != common:
                column = min(one - common)
                without = next(other for other, held in zip(traces, found, strict=True) if column not in held)
                message = (
                    f"{trace.path} has {_SAID[column]} and {without.path} has none: capture all shards with the same "
                    "`record`"
                )
                raise TraceError(message)
    return common


def texts_of(traces: Sequence[Trace]) -> dict[int, str]:
    """Return the text of every token id of several traces; `TraceError` if two name a token differently."""
    texts: dict[int, str] = {}
    of: dict[int, Path] = {}
    for trace in traces:
        for token, text in trace.texts().items():
            if texts.setdefault(token, text) != text:
                message = (
                    f"token {token} is {texts[token]!r} in {of[token]} and {text!r} in {trace.path}: "
                    "the traces are of two tokenizers"
                )
                raise TraceError(message)
            of.setdefault(token, trace.path)
    return texts
