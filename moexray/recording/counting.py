"""Counting a routed sequence by segment, layer and expert, and the signatures made of such counts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.prompt_table import PromptTable
from moexray.prompts import Prompt
from moexray.recorded_images import COLUMN, RecordedImage, text_of_images
from moexray.routing import RoutedSequence, RouterLayout
from moexray.signatures import Signatures
from moexray.signatures_file import smallest_unsigned

_BLOCK = 256


@dataclass(frozen=True)
class Totals:
    """The part of a prompt's routed sequence that signatures keep.

    Attributes
    ----------
    counts
        Selections, unsigned ``(segments, layers, experts)``.
    tokens
        Routed tokens, int32 ``(segments,)``.
    output
        The generated text.
    mass
        Gate weights summed, float32 ``(segments, layers, experts)``; None where they were not asked for.
    images
        What is recorded of the prompt's images.
    """

    counts: NDArray[np.unsignedinteger[Any]]
    tokens: NDArray[np.int32]
    output: str
    mass: NDArray[np.float32] | None = None
    images: tuple[RecordedImage, ...] = ()


def totals_of(sequence: RoutedSequence, layout: RouterLayout, *, mass: bool = False) -> Totals:
    """Count a sequence, and sum its gate weights if `mass` is asked for."""
    return Totals(
        counts=smallest_unsigned(count_selections(sequence, layout)),
        tokens=np.bincount(sequence.segments, minlength=len(layout.segments)).astype(np.int32),
        output=sequence.output,
        mass=sum_gate_weights(sequence, layout) if mass else None,
        images=sequence.images,
    )


def count_selections(
    sequence: RoutedSequence, layout: RouterLayout
) -> NDArray[np.uint32]:  # (segments, layers, experts)
    """Count the selections of a sequence; each token is counted once, in its segment."""
    return _summed(sequence, None, layout).astype(np.uint32)


def sum_gate_weights(
    sequence: RoutedSequence, layout: RouterLayout
) -> NDArray[np.float32]:  # (segments, layers, experts)
    """Sum the gate weights of the selections of a sequence.

    Raises
    ------
    ValueError
        If no gate weights were recorded.
    """
    if sequence.gate_weights is None:
        message = "no gate weights were recorded"
        raise ValueError(message)
    return _summed(sequence, sequence.gate_weights, layout).astype(np.float32)


def signatures_in_blocks(
    totals: Iterable[Totals], prompts: Sequence[Prompt], layout: RouterLayout, meta: Mapping[str, Any]
) -> Iterator[Signatures]:
    """Yield signatures of some prompts at a time from totals in the order of the prompts; each checks itself."""
    grouped = any(prompt.group for prompt in prompts)
    remaining = iter(totals)
    for start in range(0, len(prompts), _BLOCK):
        some = prompts[start : start + _BLOCK]
        rows = list(islice(remaining, _BLOCK))
        masses = [row.mass for row in rows if row.mass is not None]
        yield Signatures(
            counts=smallest_unsigned(np.stack([row.counts.astype(np.uint32) for row in rows])),
            tokens=np.stack([row.tokens for row in rows]),
            prompts=PromptTable(
                ids=tuple(prompt.id for prompt in some),
                categories=tuple(prompt.category for prompt in some),
                groups=tuple(prompt.group or "" for prompt in some) if grouped else None,
                texts=tuple(prompt.text for prompt in some),
                outputs=tuple(row.output for row in rows),
                columns=_columns(rows, layout),
            ),
            layers=np.asarray(layout.layers, dtype=np.int16),
            top_k=np.asarray(layout.top_k, dtype=np.int16),
            experts=np.asarray(layout.experts, dtype=np.int16),
            segments=layout.segments,
            meta=meta,
            mass=np.stack(masses) if masses else None,
        )


def no_signatures(layout: RouterLayout, meta: Mapping[str, Any], *, mass: bool) -> Signatures:
    """Return signatures of no prompts: those of a shard of a list that has fewer prompts than there are shards."""
    shape = (0, len(layout.segments), len(layout.layers), max(layout.experts))
    return Signatures(
        counts=np.zeros(shape, dtype=np.uint8),
        tokens=np.zeros(shape[:2], dtype=np.int32),
        prompts=PromptTable(ids=(), categories=(), texts=(), outputs=(), columns=_columns((), layout)),
        layers=np.asarray(layout.layers, dtype=np.int16),
        top_k=np.asarray(layout.top_k, dtype=np.int16),
        experts=np.asarray(layout.experts, dtype=np.int16),
        segments=layout.segments,
        meta=meta,
        mass=np.zeros(shape, dtype=np.float32) if mass else None,
    )


def _columns(rows: Sequence[Totals], layout: RouterLayout) -> dict[str, tuple[str, ...]]:
    """Return the column of images where prompts may have some, so that all parts of a capture have the same columns."""
    if all(one.kind != "image" for one in layout.segments):
        return {}
    return {COLUMN: tuple(text_of_images(row.images) for row in rows)}


def _summed(
    sequence: RoutedSequence, weights: NDArray[np.float16] | None, layout: RouterLayout
) -> NDArray[np.generic]:  # (segments, layers, experts)
    """Return the number of selections, or the sum of their weights; −1 is no selection."""
    segments, layers, experts = len(layout.segments), len(layout.layers), max(layout.experts)
    rows = sequence.segments.astype(np.int64)[:, None] * layers + np.arange(layers)  # (tokens, layers)
    places = rows[:, :, None] * experts + sequence.experts
    there = sequence.experts >= 0
    found = np.bincount(
        places[there], None if weights is None else weights[there], minlength=segments * layers * experts
    )
    return found.reshape(segments, layers, experts)
