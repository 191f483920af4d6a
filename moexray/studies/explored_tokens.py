"""The tokens of some prompts, as a page shows them: their texts and their experts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.routed_tokens import RoutedTokens
from moexray.trace import Trace
from moexray.trace_sequences import columns_of


@dataclass(frozen=True, eq=False)
class ExploredTokens:
    """Tokens of prompts, one prompt after the other.

    Attributes
    ----------
    rows
        Places of the prompts among the signatures, ascending ``(prompts,)``.
    lengths
        Tokens of each ``(prompts,)``.
    texts
        Every text that a token has, or None for one whose text the trace does not hold.
    text
        The place of each token's text ``(tokens,)``.
    ids
        The token id of each of `texts`.
    segments
        The place of each token's segment among those of the signatures ``(tokens,)``.
    experts
        ``(tokens, layers, k)``, −1 where fewer than k.
    ranked
        Whether the experts of a token stand in the router's order; serving engines give them ascending.
    weights
        Gate weights, shaped as `experts`; None where the trace has none.
    """

    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    texts: Sequence[str | None]
    text: NDArray[np.int64]
    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    experts: NDArray[np.int16]
    ranked: bool
    weights: NDArray[np.float32] | None

    def only(self, rows: NDArray[np.integer]) -> "ExploredTokens":
        """Return the tokens of some of the prompts, as if these alone had been read."""
        prompts, kept = np.isin(self.rows, rows), np.isin(np.repeat(self.rows, self.lengths), rows)
        used, text = np.unique(self.text[kept], return_inverse=True)
        return ExploredTokens(
            rows=self.rows[prompts],
            lengths=self.lengths[prompts],
            texts=[self.texts[place] for place in used.tolist()],
            text=text,
            ids=self.ids[used],
            segments=self.segments[kept],
            experts=self.experts[kept],
            ranked=self.ranked,
            weights=None if self.weights is None else self.weights[kept],
        )


def explore_tokens(trace: Trace, rows: NDArray[np.integer]) -> ExploredTokens:
    """Read the tokens of some prompts; the whole trace is read and checked for it.

    Parameters
    ----------
    trace
        The trace.
    rows
        Places of the prompts among the signatures, ascending. Those without a token are left out.

    Raises
    ------
    TraceError
        As `Trace.blocks`.
    """
    weighed = "gate_weights" in columns_of(trace)
    blocks = trace.blocks(weights=weighed)
    found = RoutedTokens.joined([block.take(np.isin(block.prompts, rows)) for block in blocks])
    order = np.lexsort((found.positions, found.prompts))
    found = found.take(order)
    there, lengths = np.unique(found.prompts, return_counts=True)
    ids, text = np.unique(found.token_ids, return_inverse=True)
    known = trace.texts()
    return ExploredTokens(
        rows=there,
        lengths=lengths,
        texts=[known.get(one) for one in ids.tolist()],
        text=text,
        ids=ids,
        segments=found.segments,
        experts=found.experts,
        ranked=trace.signatures.meta.get("selection_order") != "ascending",
        weights=found.weights,
    )
