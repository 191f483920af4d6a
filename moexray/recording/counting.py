"""What is kept of each prompt while a capture runs, and the signatures that come of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from moexray.prompt_table import PromptTable
from moexray.prompts import Prompt
from moexray.recording.counts import count_selections, sum_gate_weights
from moexray.recording.journal import Row
from moexray.routing import RoutedSequence, RouterLayout
from moexray.signatures import Signatures
from moexray.signatures_file import smallest_unsigned

_BLOCK = 256


def totals_of(sequence: RoutedSequence, layout: RouterLayout, *, mass: bool = False) -> Row:
    """Keep of a sequence what signatures need, gate mass where it is wanted."""
    row: Row = {
        "counts": smallest_unsigned(count_selections(sequence, layout)),
        "tokens": np.bincount(sequence.segments, minlength=len(layout.segments)).astype(np.int32),
        "output": np.frombuffer(sequence.output.encode(), dtype=np.uint8),
    }
    if mass:
        row["mass"] = sum_gate_weights(sequence, layout)
    return row


def tokens_of(sequence: RoutedSequence) -> Row:
    """Keep of a sequence every token's selections, and their gate weights where they were recorded."""
    row: Row = {
        "token_ids": sequence.token_ids,
        "segments": sequence.segments,
        "experts": np.ascontiguousarray(sequence.experts),
    }
    if sequence.gate_weights is not None:
        row["gate_weights"] = np.ascontiguousarray(sequence.gate_weights)
    return row


def sequence_of(row: Row, layout: RouterLayout) -> RoutedSequence:
    """Return the sequence whose tokens a row keeps, without its output."""
    return RoutedSequence(
        token_ids=row["token_ids"],
        segments=row["segments"],
        experts=row["experts"],
        output="",
        gate_weights=row.get("gate_weights"),
        segment_names=layout.segments,
    )


def signatures_in_blocks(
    rows: Iterable[Row], prompts: Sequence[Prompt], layout: RouterLayout, meta: Mapping[str, Any]
) -> Iterator[Signatures]:
    """Put rows, in the order of the prompts, into signatures of some prompts at a time; each checks itself."""
    grouped = any(prompt.group for prompt in prompts)
    remaining = iter(rows)
    for start in range(0, len(prompts), _BLOCK):
        some = prompts[start : start + _BLOCK]
        of_prompts = list(islice(remaining, _BLOCK))
        yield Signatures(
            counts=smallest_unsigned(np.stack([row["counts"].astype(np.uint32) for row in of_prompts])),
            tokens=np.stack([row["tokens"] for row in of_prompts]),
            prompts=PromptTable(
                ids=tuple(prompt.id for prompt in some),
                categories=tuple(prompt.category for prompt in some),
                groups=tuple(prompt.group or "" for prompt in some) if grouped else None,
                texts=tuple(prompt.text for prompt in some),
                outputs=tuple(row["output"].tobytes().decode() for row in of_prompts),
            ),
            layers=np.asarray(layout.layers, dtype=np.int16),
            top_k=np.asarray(layout.top_k, dtype=np.int16),
            experts=np.asarray(layout.experts, dtype=np.int16),
            segments=layout.segments,
            meta=meta,
            mass=np.stack([row["mass"] for row in of_prompts]) if "mass" in of_prompts[0] else None,
        )
