"""Counts of experts by blocks of units and by category, read from signatures some prompts at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.studies.halves import Halves, halves_of
from moexray.studies.unit_blocks import MOST_BLOCKS, UnitBlocks, unit_blocks

# Numbers of the largest array of counts; with more, fewer blocks are left out.
_MOST_CELLS, _FEWEST_BLOCKS = 2**25, 12


@dataclass(frozen=True)
class CoverageCounts:
    """What a set of prompts selects.

    Attributes
    ----------
    lengths
        Selected tokens of each prompt that has some ``(prompts,)``.
    reaching
        How many prompts select each expert at least once ``(layers, experts)``.
    units
        Blocks of units.
    cells
        Selections by the prompts of one block and category ``(cells, layers, experts)``.
    block_of, category_of
        The block and the category of each cell ``(cells,)``.
    categories
        The names of the categories.
    halves
        The split into a half to learn on and a half to score on; None where there is one unit only.
    learnt, scored
        Selections by the first half ``(layers, experts)``, and by each block of the second
        ``(blocks, layers, experts)``.
    """

    lengths: NDArray[np.int64]
    reaching: NDArray[np.int64]
    units: UnitBlocks
    cells: NDArray[np.int64]
    block_of: NDArray[np.int64]
    category_of: NDArray[np.int64]
    categories: tuple[str, ...]
    halves: Halves | None
    learnt: NDArray[np.int64]
    scored: NDArray[np.int64]

    @property
    def total(self) -> NDArray[np.int64]:  # (layers, experts)
        """Selections by all prompts."""
        return np.asarray(self.cells.sum(axis=0))


def coverage_counts(signatures: Signatures, *, tokens: str, seed: int) -> CoverageCounts:
    """Count selections, in memory that does not grow with the number of prompts.

    Parameters
    ----------
    signatures
        What was recorded.
    tokens
        Which tokens: see `moexray.segments.places`.
    seed
        Of the split in halves.
    """
    lengths = signatures.lengths(tokens)
    studied = lengths > 0
    layers, width = signatures.shape[2:]
    most = min(MOST_BLOCKS, max(_FEWEST_BLOCKS, _MOST_CELLS // (layers * width)))
    prompts = signatures.prompts
    units = unit_blocks(prompts.categories, prompts.groups, studied=studied, most=most)
    names = tuple(sorted({prompts.categories[row] for row in np.flatnonzero(studied).tolist()}))
    number = {name: place for place, name in enumerate(names)}
    categories = np.array([number.get(name, 0) for name in prompts.categories])
    keys = units.blocks * len(names) + categories
    cells = np.unique(keys[studied])
    halves, scored_block = _halves(signatures, studied, seed)
    found = CoverageCounts(
        lengths=lengths[studied],
        reaching=np.zeros((layers, width), dtype=np.int64),
        units=units,
        cells=np.zeros((len(cells), layers, width), dtype=np.int64),
        block_of=cells // len(names),
        category_of=cells % len(names),
        categories=names,
        halves=halves,
        learnt=np.zeros((layers, width), dtype=np.int64),
        scored=np.zeros((0 if halves is None else len(halves.strata), layers, width), dtype=np.int64),
    )
    start = 0
    for block in signatures.blocks():
        rows = np.arange(start, start + len(block))
        start += len(block)
        there = studied[rows]
        rows, loads = rows[there], block.loads(tokens)[there]
        found.reaching[:] += (loads > 0).sum(axis=0)
        np.add.at(found.cells, np.searchsorted(cells, keys[rows]), loads)
        if halves is not None:
            is_scored = scored_block[rows] >= 0
            found.learnt[:] += loads[~is_scored].sum(axis=0)
            np.add.at(found.scored, scored_block[rows[is_scored]], loads[is_scored])
    return found


def _halves(
    signatures: Signatures, studied: NDArray[np.bool_], seed: int
) -> tuple[Halves | None, NDArray[np.int64]]:  # (prompts,)
    """Return the halves, and the block of each prompt that is scored, −1 for others."""
    rows, prompts = np.flatnonzero(studied), signatures.prompts
    of_prompt = np.full(len(studied), -1)
    try:
        halves = halves_of(
            [prompts.categories[row] for row in rows.tolist()],
            None if prompts.groups is None else [prompts.groups[row] for row in rows.tolist()],
            seed,
        )
    except NotComputable:
        return None, of_prompt
    of_prompt[rows[halves.scored]] = halves.blocks
    return halves, of_prompt
