"""How much disk a capture needs beside what it writes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moexray.recording.counting import totals_of
from moexray.recording.journal import journal_of, journal_path
from moexray.routing import RoutedSequence, RouterLayout, plain_segments
from moexray.trace_file import write_trace

LAYOUT = RouterLayout(tuple(range(16)), (64,) * 16, (8,) * 16)
PROMPTS, TOKENS = 1000, 70
Made = Callable[[int], RoutedSequence]


def routed(rng: np.random.Generator, *, equal_weights: bool = False) -> RoutedSequence:
    """Return a sequence whose selections and gate weights are random."""
    experts = rng.random((TOKENS, 16, 64)).argsort(axis=-1)[..., :8].astype(np.int16)
    drawn = np.ones(experts.shape) if equal_weights else rng.gamma(2.0, size=experts.shape)
    return RoutedSequence(
        token_ids=rng.integers(50_000, size=TOKENS).astype(np.int32),
        segments=plain_segments(40, 30),
        experts=experts,
        output="what a model wrote after it " * 4,
        gate_weights=(drawn / drawn.sum(axis=-1, keepdims=True)).astype(np.float16),
    )


def all_different(*, equal_weights: bool = False) -> Made:
    return lambda number: routed(np.random.default_rng(number), equal_weights=equal_weights)


def ten_over_and_over(number: int) -> RoutedSequence:
    return routed(np.random.default_rng(number % 10))


MADE = {
    "all different": all_different(),
    "equal weights": all_different(equal_weights=True),
    "ten over and over": ten_over_and_over,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MADE)
def test_a_journal_is_at_most_twice_the_trace(tmp_path: Path, kind: str) -> None:
    """Whatever the trace makes of what repeats; a thousand prompts of seventy tokens."""
    made, out = MADE[kind], tmp_path / "out.npz"
    batches = np.array_split(np.random.default_rng(0).permutation(PROMPTS), 20)
    with journal_of(out) as journal:
        journal.begin({}, [batch.tolist() for batch in batches])
        for number, batch in enumerate(batches, start=1):
            sequences = {prompt: made(prompt) for prompt in batch.tolist()}
            journal.keep(number, {prompt: totals_of(one, LAYOUT) for prompt, one in sequences.items()}, sequences)
        size = journal_path(out).stat().st_size
        ids = [f"p{i}" for i in range(PROMPTS)]
        write_trace(tmp_path / "trace.parquet", journal.sequences(LAYOUT.segments), ids, LAYOUT, str)
    assert size <= 2 * (tmp_path / "trace.parquet").stat().st_size
