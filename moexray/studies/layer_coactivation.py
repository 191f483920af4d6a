"""Experts of one layer that are selected for the same tokens, from co-selections or from a trace."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.merging.coselections import pairs_beside
from moexray.signatures import Signatures
from moexray.stats.experts.coactivation import coactivation
from moexray.studies.chosen_layers import chosen_layers
from moexray.studies.cohort import Cohort
from moexray.studies.expert_tokens import marks_of
from moexray.studies.header import Header, header_of
from moexray.trace import Trace

# Of rarer pairs, chance alone makes odds very large.
LEAST_EXPECTED = 5
_MOST_NAMED = 10


@dataclass(frozen=True)
class StrongPair:
    """Two experts, tokens that selected both, as many as loads alone give, and the odds ratio between the two."""

    first: int
    second: int
    tokens: int
    expected: float
    odds_ratio: float


@dataclass(frozen=True, eq=False)
class LayerCoactivation:
    """One layer's pairs of experts.

    Attributes
    ----------
    signatures
        What was studied.
    layer, tokens
        Its index in the model, and the tokens that were counted.
    odds_ratio
        Odds that a token selects both, divided by those of a router that depends on loads alone; 0 for two that no
        token selects, NaN where one of them is never selected, and on the diagonal ``(experts, experts)``.
    expected
        Tokens that would select both under such a router; NaN likewise ``(experts, experts)``.
    strongest
        Up to ten pairs of the greatest odds ratio above 1, of those that loads alone give at least five tokens.
    """

    signatures: Header
    layer: int
    tokens: int
    odds_ratio: NDArray[np.float64]
    expected: NDArray[np.float64]
    strongest: tuple[StrongPair, ...]


def layer_coactivation(
    signatures: Signatures, source: Trace | Path, *, tokens: str = "all", layer: int | None = None
) -> LayerCoactivation:
    """Compare how often two experts of a layer are selected for the same token with what their loads alone give.

    See `moexray.stats.experts.coactivation.coactivation`.

    Parameters
    ----------
    signatures
        What was recorded.
    source
        A trace of these signatures, or the file of their co-selections.
    tokens
        Which tokens: see `moexray.segments.places`.
    layer
        By its index in the model; by default the middle MoE layer.

    Raises
    ------
    AnalysisError
        If no prompt has such a token, the layer has no experts, its tokens select one expert each, or a router dropped
        selections.
    SignaturesError
        If the co-selections are missing, damaged or not of these signatures.
    TraceError
        If the trace cannot be read.
    """
    header = replace(header_of(Cohort.of(signatures, tokens=tokens)), sample=None)
    known: list[int] = signatures.layers.tolist()
    (chosen,) = [known[len(known) // 2]] if layer is None else chosen_layers(known, [layer])
    place = known.index(chosen)
    size, k = int(signatures.experts[place]), int(signatures.top_k[place])
    every = (
        _of_trace(source, tokens, place) if isinstance(source, Trace) else _of_file(source, signatures, tokens, place)
    )
    pairs, number = every[:size, :size], int(signatures.lengths(tokens).sum())
    if int(np.trace(pairs)) != k * number:
        message = (
            f"layer {chosen}: the router dropped some of the {k} selections of a token, so there is no expectation"
        )
        raise AnalysisError(message)
    try:
        found = coactivation(pairs, number)
    except NotComputable as reason:
        message = f"layer {chosen}: {reason}"
        raise AnalysisError(message) from reason
    expected = found.expected * np.diag(pairs)[:, None]
    strongest = _strongest(pairs, expected, found.odds_ratio)
    return LayerCoactivation(header, chosen, number, found.odds_ratio, expected, strongest)


def _of_trace(trace: Trace, tokens: str, place: int) -> NDArray[np.int64]:  # (experts, experts)
    pairs = np.zeros((trace.width, trace.width), dtype=np.int64)
    for block in trace.blocks():
        marks = marks_of(block.select(tokens).experts[:, place], trace.width)
        pairs += (marks.T @ marks).astype(np.int64)
    return pairs


def _of_file(path: Path, signatures: Signatures, tokens: str, place: int) -> NDArray[np.int64]:  # (experts, experts)
    every = pairs_beside(signatures, path)
    return np.asarray(every[list(signatures.places(tokens)), place].sum(axis=0).astype(np.int64))


def _strongest(
    pairs: NDArray[np.int64], expected: NDArray[np.float64], odds_ratio: NDArray[np.float64]
) -> tuple[StrongPair, ...]:
    first, second = np.triu_indices(len(pairs), 1)
    known = np.isfinite(odds_ratio[first, second]) & (expected[first, second] >= LEAST_EXPECTED)
    first, second = first[known], second[known]
    order = np.argsort(-odds_ratio[first, second], kind="stable")[:_MOST_NAMED]
    found = (
        StrongPair(i, j, int(pairs[i, j]), float(expected[i, j]), float(odds_ratio[i, j]))
        for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True)
    )
    return tuple(pair for pair in found if pair.odds_ratio > 1)
