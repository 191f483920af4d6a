"""What batches need of a trace, in one pass: who selects which expert at each step, and windows of prompt tokens."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.stats.workloads.chunks import window_sums
from moexray.studies.unit_blocks import MOST_BLOCKS, UnitBlocks, unit_blocks
from moexray.trace import Trace

OnBlock = Callable[[RoutedTokens, NDArray[np.int64]], None]
# Numbers of the largest array. With more, fewer steps are counted, then fewer blocks are left out.
_MOST_CELLS = 2**26
_FEWEST_STEPS, _FEWEST_BLOCKS = 16, 8


@dataclass(frozen=True)
class BatchCounts:
    """Counts of each block of units, which intervals leave out in turn.

    Attributes
    ----------
    units
        The blocks.
    steps
        Which generated tokens were counted, by their place among those of a prompt ``(steps,)``.
    selected
        Prompts that select each expert at each step ``(blocks, steps, layers, experts)``.
    at_step
        Prompts that have a generated token at each step ``(blocks, steps)``.
    windows, distinct
        Windows of prompt tokens ``(blocks, sizes)``, and their distinct experts summed ``(blocks, sizes, layers)``.
    counts, tokens
        Selections of each expert by the tokens of runs that hold a window ``(blocks, sizes, layers, experts)``, and
        their number ``(blocks, sizes)``.
    """

    units: UnitBlocks
    steps: NDArray[np.int64]
    selected: NDArray[np.uint32]
    at_step: NDArray[np.int64]
    windows: NDArray[np.int64]
    distinct: NDArray[np.int64]
    counts: NDArray[np.uint32]
    tokens: NDArray[np.int64]


def batch_counts(
    trace: Trace, sizes: tuple[int, ...], *, tokens: str = "all", scores: bool = False, on_block: OnBlock | None = None
) -> BatchCounts:
    """Read a trace once, in memory that does not grow with the number of prompts.

    Parameters
    ----------
    trace
        Every token's experts.
    sizes
        Ascending numbers of tokens of a window.
    tokens
        Which tokens: see `moexray.segments.places`.
    scores
        Whether to read router scores, for `on_block`.
    on_block
        Called with the selected tokens of each block, and for each the generated tokens before it in its prompt, −1 if
        it was not generated.
    """
    signatures = trace.signatures
    layers, width = signatures.shape[2:]
    # Of all generated tokens: selected ones keep their place among these.
    longest = int(generated_lengths(signatures).max(initial=0))
    steps = _spread(longest, max(_FEWEST_STEPS, _MOST_CELLS // (layers * width * 32)))
    most = min(MOST_BLOCKS, max(_FEWEST_BLOCKS, _MOST_CELLS // (layers * width * max(len(steps), 2 * len(sizes)))))
    units = unit_blocks(
        signatures.prompts.categories, signatures.prompts.groups, studied=signatures.lengths(tokens) > 0, most=most
    )
    shape = (len(units), len(sizes), layers)
    found = BatchCounts(
        units=units,
        steps=steps,
        selected=np.zeros((len(units), len(steps), layers, width), dtype=np.uint32),
        at_step=np.zeros((len(units), len(steps)), dtype=np.int64),
        windows=np.zeros(shape[:2], dtype=np.int64),
        distinct=np.zeros(shape, dtype=np.int64),
        counts=np.zeros((*shape, width), dtype=np.uint32),
        tokens=np.zeros(shape[:2], dtype=np.int64),
    )
    place_of_step = np.full(longest, -1)
    place_of_step[steps] = np.arange(len(steps))
    for block in trace.blocks(scores=scores):
        of_step = _step_of(block)
        chosen = block.select(tokens)
        if len(chosen) < len(block):
            of_step = of_step[np.isin(block.segments, np.unique(chosen.segments))]
        if on_block is not None:
            on_block(chosen, of_step)
        there = np.flatnonzero(of_step >= 0)
        _count_steps(found, chosen.take(there), place_of_step[of_step[there]])
        _count_windows(found, chosen.take(of_step < 0), sizes)
    # Runs are counted by the largest window that they hold; those of smaller windows hold them as well.
    for array in (found.counts, found.tokens):
        array[:] = np.flip(np.cumsum(np.flip(array, axis=1), axis=1, dtype=array.dtype), axis=1)
    return found


def generated_lengths(signatures: Signatures, tokens: str = "all") -> NDArray[np.int64]:  # (prompts,)
    """Return how many of the tokens that a selector names each prompt generated."""
    places = [place for place in signatures.places(tokens) if signatures.segments[place].phase == "generated"]
    return np.asarray(signatures.tokens[:, places].sum(axis=1, dtype=np.int64))


def _spread(number: int, most: int) -> NDArray[np.int64]:
    """Return all places below a number, or as many as there may be, evenly spread."""
    return np.arange(number) if number <= most else np.unique(np.linspace(0, number - 1, most).round().astype(np.int64))


def _step_of(block: RoutedTokens) -> NDArray[np.int64]:  # (tokens,)
    """Return how many tokens of its prompt were generated before each token; −1 where it was not generated itself."""
    before = np.cumsum(block.generated).astype(np.int64) - block.generated
    starts = np.flatnonzero(np.diff(block.prompts, prepend=-1))
    of_prompt = before - np.repeat(before[starts], np.diff([*starts, len(block)]))
    return np.where(block.generated, of_prompt, -1)


def _count_steps(found: BatchCounts, some: RoutedTokens, place: NDArray[np.int64]) -> None:
    there = np.flatnonzero(place >= 0)
    row = found.units.blocks[some.prompts[there]] * len(found.steps) + place[there]
    found.at_step.ravel()[:] += np.bincount(row, minlength=found.at_step.size)
    _add(found.selected, row, some.experts[there])


def _count_windows(found: BatchCounts, some: RoutedTokens, sizes: tuple[int, ...]) -> None:
    if not len(some):
        return
    starts = (np.diff(some.prompts, prepend=-1) != 0) | (np.diff(some.positions, prepend=-1) != 1)
    runs = np.cumsum(starts) - 1
    windows, distinct = window_sums(some.experts, runs, width=found.counts.shape[3], sizes=sizes)
    blocks = found.units.blocks[some.prompts[starts]]
    np.add.at(found.windows, blocks, windows.T)
    np.add.at(found.distinct, blocks, distinct.swapaxes(0, 1))
    largest = np.searchsorted(sizes, np.bincount(runs), side="right") - 1  # −1 where a run holds no window
    there = np.flatnonzero(largest[runs] >= 0)
    row = (blocks * len(sizes) + largest)[runs[there]]
    found.tokens.ravel()[:] += np.bincount(row, minlength=found.tokens.size)
    _add(found.counts, row, some.experts[there])


def _add(array: NDArray[np.uint32], row: NDArray[np.int64], experts: NDArray[np.integer]) -> None:
    """Count selections into an array whose leading axes are one row, then layers and experts."""
    layers, width = array.shape[-2:]
    cells = ((row[:, None] * layers + np.arange(layers))[..., None] * width + experts)[experts >= 0]
    if array.size <= 4 * cells.size:
        array.ravel()[:] += np.bincount(cells, minlength=array.size).astype(np.uint32)
    else:
        np.add.at(array.ravel(), cells, np.uint32(1))
