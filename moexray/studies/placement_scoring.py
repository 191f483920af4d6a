"""Read the scored half of a trace once: traffic of every token, and the tokens of batches and of a sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.workloads.batch_loads import Batches
from moexray.stats.workloads.slots import Slots
from moexray.stats.workloads.token_traffic import Traffic, traffic
from moexray.studies.top_experts import TopExperts
from moexray.studies.trace_blocks import TraceBlocks


@dataclass(frozen=True)
class WantedTokens:
    """Tokens that are kept, by prompt and place among its selected tokens, in the order in which they are kept.

    Attributes
    ----------
    prompts, places
        Place of the prompt among those of the signatures, and of the token in it ``(tokens,)``.
    """

    prompts: NDArray[np.int64]
    places: NDArray[np.int64]

    @staticmethod
    def of(batches: Batches, rows: NDArray[np.int64]) -> "WantedTokens":
        """Return the tokens of batches; `rows` are the places of their prompts."""
        size = batches.prompts.shape[1]
        return WantedTokens(rows[batches.prompts].ravel(), np.repeat(batches.steps, size))


@dataclass(frozen=True)
class Scored:
    """What the scored half gives.

    Attributes
    ----------
    traffic
        Of each cell of prompts and each placement.
    kept
        What the layers select for the tokens that were wanted, in their order ``(tokens, layers, k)``, for each lot.
    tops
        Their experts of the largest gate weight ``(tokens, layers)``; None without gate weights.
    """

    traffic: Traffic
    kept: tuple[NDArray[np.int16], ...]
    tops: tuple[NDArray[np.int64], ...] | None

    def of_batches(self, batches: Batches) -> NDArray[np.int16]:  # (batches, size, layers, k)
        """Return what the tokens of batches select, which is the second lot."""
        return self.kept[1].reshape(*batches.prompts.shape, *self.kept[1].shape[1:])


def score(
    blocks: TraceBlocks,
    tokens: str,
    *,
    cells: NDArray[np.int64],
    number: int,
    placements: Sequence[Slots],
    nodes: int,
    wanted: Sequence[WantedTokens],
) -> Scored:
    """Go through a trace once.

    Parameters
    ----------
    blocks, tokens
        The trace, and which tokens.
    cells, number
        The cell of each prompt, −1 for one that is not scored ``(prompts,)``, and how many cells there are.
    placements
        What is scored.
    nodes
        Nodes of the devices.
    wanted
        Lots of tokens to keep.
    """
    signatures = blocks.signatures
    layers, k = len(signatures.layers), int(signatures.top_k.max())
    reader = TopExperts(blocks.trace) if TopExperts.are_there(blocks.trace) else None
    kept = tuple(np.full((len(one.prompts), layers, k), -1, dtype=np.int16) for one in wanted)
    kept_tops = tuple(np.full((len(one.prompts), layers), -1) for one in wanted)
    orders = [np.argsort(one.prompts, kind="stable") for one in wanted]
    total: Traffic | None = None
    for block in blocks:
        all_tops = None if reader is None else reader.take(len(block))
        mask = np.isin(block.segments, signatures.places(tokens)) & (cells[block.prompts] >= 0)
        rows = np.flatnonzero(mask)
        prompts, selected = block.prompts[rows], block.experts[rows]
        tops = None if all_tops is None else all_tops[rows]
        sums = traffic(selected, tops, cells[prompts], placements=placements, nodes=nodes, number=number)
        total = sums if total is None else total + sums
        there, starts = np.unique(prompts, return_index=True)
        for lot, (one, order) in enumerate(zip(wanted, orders, strict=True)):
            sorted_prompts = one.prompts[order]
            low, high = (np.searchsorted(sorted_prompts, there, side=side) for side in ("left", "right"))
            mine = np.concatenate([order[a:b] for a, b in zip(low, high, strict=True)] or [order[:0]])
            found = np.repeat(starts, high - low) + one.places[mine]
            kept[lot][mine] = selected[found]
            if tops is not None:
                kept_tops[lot][mine] = tops[found]
    assert total is not None
    return Scored(total, kept, None if reader is None else kept_tops)
