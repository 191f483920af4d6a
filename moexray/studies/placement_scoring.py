"""Read the scored half of a trace once: traffic of every token, and the tokens of batches and of a sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moexray.stats.workloads.batch_loads import Batches
from moexray.stats.workloads.slots import Slots
from moexray.stats.workloads.token_traffic import Homes, Traffic, traffic
from moexray.studies.placement_parts import TokenParts
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
    by_part
        Traffic of each cell of prompts, part of the tokens and placement.
    kept
        What the layers select for the tokens that were wanted, in their order ``(tokens, layers, k)``, for each lot.
    tops
        Their experts of the largest gate weight ``(tokens, layers)``; None without gate weights.
    kept_parts
        The part of each token that was wanted ``(tokens,)``, for each lot.
    """

    by_part: Traffic
    kept: tuple[NDArray[np.int16], ...]
    tops: tuple[NDArray[np.int64], ...] | None
    kept_parts: tuple[NDArray[np.int64], ...]

    @cached_property
    def traffic(self) -> Traffic:
        """Traffic of each cell of prompts and each placement, of all parts together."""
        return self.by_part.part(None)

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
    parts: TokenParts,
    homes: Homes | None,
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
    parts, homes
        Parts of the tokens that are summed apart, and where tokens start from; None without kinds.
    """
    signatures = blocks.signatures
    layers, k = len(signatures.layers), int(signatures.top_k.max())
    reader = TopExperts(blocks.trace) if TopExperts.are_there(blocks.trace) else None
    kept = tuple(np.full((len(one.prompts), layers, k), -1, dtype=np.int16) for one in wanted)
    kept_parts = tuple(np.full(len(one.prompts), -1) for one in wanted)
    kept_tops = tuple(np.full((len(one.prompts), layers), -1) for one in wanted)
    orders = [np.argsort(one.prompts, kind="stable") for one in wanted]
    total: Traffic | None = None
    for block in blocks:
        all_tops = None if reader is None else reader.take(len(block))
        mask = np.isin(block.segments, signatures.places(tokens)) & (cells[block.prompts] >= 0)
        rows = np.flatnonzero(mask)
        prompts, selected = block.prompts[rows], block.experts[rows]
        tops = None if all_tops is None else all_tops[rows]
        part = parts.of_segment[block.segments[rows]]
        of_token = cells[prompts] * len(parts) + part
        of_all = None if homes is None else replace(homes, of_part=np.tile(homes.of_part, number))
        sums = traffic(
            selected, tops, of_token, placements=placements, nodes=nodes, number=number * len(parts), homes=of_all
        )
        total = sums if total is None else total + sums
        there, starts = np.unique(prompts, return_index=True)
        for lot, (one, order) in enumerate(zip(wanted, orders, strict=True)):
            sorted_prompts = one.prompts[order]
            low, high = (np.searchsorted(sorted_prompts, there, side=side) for side in ("left", "right"))
            mine = np.concatenate([order[a:b] for a, b in zip(low, high, strict=True)] or [order[:0]])
            found = np.repeat(starts, high - low) + one.places[mine]
            kept[lot][mine], kept_parts[lot][mine] = selected[found], part[found]
            if tops is not None:
                kept_tops[lot][mine] = tops[found]
    assert total is not None
    return Scored(total.by_cell(len(parts)), kept, None if reader is None else kept_tops, kept_parts)
