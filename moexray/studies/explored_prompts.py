"""Prompts one by one, as a page shows them: what each selected, and how many experts it reached."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures, Weighting
from moexray.stats.workloads.reached import expected_reached


@dataclass(frozen=True, eq=False)
class ExploredPrompts:
    """Prompts that have a selected token.

    Attributes
    ----------
    rows
        Their places among the signatures ``(prompts,)``.
    tokens
        Selected tokens of each ``(prompts,)``.
    weights
        What signatures are shares of ``(prompts, layers, experts)``: selections, or float32 gate mass.
    reached
        How many experts of each layer the prompt selected at least once ``(prompts, layers)``.
    expected
        How many its tokens would reach, were each routed as other prompts' tokens are; see `expected_reached`.
    """

    rows: NDArray[np.int64]
    tokens: NDArray[np.int64]
    weights: NDArray[np.number]
    reached: NDArray[np.int32]
    expected: NDArray[np.float64]


def explore_prompts(
    signatures: Signatures,
    *,
    tokens: str = "all",
    weighting: Weighting = "counts",
    only: NDArray[np.integer] | None = None,
) -> ExploredPrompts:
    """Read what each prompt selected.

    Parameters
    ----------
    signatures
        What was recorded.
    tokens, weighting
        Which tokens, and what signatures are shares of; see `Signatures.vectors`.
    only
        Places of the prompts to read, ascending; by default all that have a selected token.
    """
    kept = np.flatnonzero(signatures.has_tokens(tokens))
    load = sum(block.loads(tokens).sum(axis=0) for block in signatures.blocks())
    lengths = signatures.lengths(tokens)
    rows = kept if only is None else np.intersect1d(kept, only)
    weights, reached, expected = [], [], []
    for block, places in _parts(signatures, rows):
        counts = block.loads(tokens)
        weights.append(_compact(counts) if weighting == "counts" else block.masses(tokens).astype(np.float32))
        reached.append((counts > 0).sum(axis=2, dtype=np.int32))
        expected.append(expected_reached(load, int(lengths.sum()), counts, lengths[places]))
    return ExploredPrompts(
        rows=rows,
        tokens=lengths[rows],
        weights=np.concatenate(weights),
        reached=np.concatenate(reached),
        expected=np.concatenate(expected),
    )


def _parts(signatures: Signatures, rows: NDArray[np.int64]) -> Iterator[tuple[Signatures, NDArray[np.int64]]]:
    """Yield the prompts at these places, some at a time, with their places."""
    start = 0
    for block in signatures.blocks():
        inside = rows[(rows >= start) & (rows < start + len(block))]
        if len(inside):
            yield block.take(inside - start), inside
        start += len(block)


def _compact(counts: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
    """Return counts in the narrowest type that holds them."""
    most = int(counts.max(initial=0))
    return counts.astype(np.min_scalar_type(most))
