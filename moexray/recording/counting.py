"""What is kept of each prompt while a capture runs, and the signatures that come of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from moexray.prompts import Prompt
from moexray.recording.counts import count_selections, sum_gate_weights
from moexray.recording.journal import Row
from moexray.routing import RoutedSequence, RouterLayout
from moexray.signatures import Signatures, smallest_unsigned

_BLOCK = 256


def totals_of(sequence: RoutedSequence, layout: RouterLayout, *, mass: bool = False) -> Row:
    """Keep of a sequence what signatures need, gate mass where it is wanted."""
    length = sequence.prompt_length
    row: Row = {
        "counts": smallest_unsigned(count_selections(sequence, layout)),
        "tokens": np.array([length, len(sequence.token_ids) - length], dtype=np.int32),
        "output": np.frombuffer(sequence.output.encode(), dtype=np.uint8),
    }
    if mass:
        row["mass"] = sum_gate_weights(sequence, layout)
    return row


def tokens_of(sequence: RoutedSequence) -> Row:
    """Keep of a sequence every token's selections, and their gate weights where they were heard."""
    row: Row = {
        "token_ids": sequence.token_ids,
        "experts": np.ascontiguousarray(sequence.experts),
        "prompt_length": np.array([sequence.prompt_length], dtype=np.int32),
    }
    if sequence.gate_weights is not None:
        row["gate_weights"] = np.ascontiguousarray(sequence.gate_weights)
    return row


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
            categories=tuple(prompt.category for prompt in some),
            prompt_ids=tuple(prompt.id for prompt in some),
            layers=np.asarray(layout.layers, dtype=np.int16),
            top_k=np.asarray(layout.top_k, dtype=np.int16),
            meta=meta,
            texts=tuple(prompt.text for prompt in some),
            outputs=tuple(row["output"].tobytes().decode() for row in of_prompts),
            groups=tuple(prompt.group or "" for prompt in some) if grouped else None,
            mass=np.stack([row["mass"] for row in of_prompts]) if "mass" in of_prompts[0] else None,
        )
