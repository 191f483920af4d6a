"""The prompts of a page, and how many of them it has room for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures
from moexray.studies.explored_prompts import ExploredPrompts
from moexray.studies.samples import drawn_rows
from moexray.views.report.encoding import Block, array_block, json_block, narrowest

# Prompts of a similarity matrix: more would be less than two pixels each. The page computes their cosines itself, in
# about a quarter of a second for so many products.
MOST_IN_MATRIX = 400
_MOST_PRODUCTS = 4 * 10**8
# Experts of a layer that a prompt keeps where there is no room for all.
LEADING = 16
_SEED = 0


@dataclass(frozen=True, eq=False)
class Shown:
    """A choice of what a page says of single prompts.

    Attributes
    ----------
    prompts
        Places in the explored prompts ``(prompts,)``, ascending.
    whole
        Which of these have the counts of all experts; the others have those of their leading experts in each layer.
    matrix
        Which of these are in the similarity matrix.
    """

    prompts: NDArray[np.int64]
    whole: NDArray[np.bool_]
    matrix: NDArray[np.bool_]


def choices(explored: ExploredPrompts, signatures: Signatures) -> Iterator[Shown]:
    """Yield what a page may show of prompts, from all there is to ever less.

    First every prompt with all its counts; then all counts for the prompts of the matrix and the leading experts of
    the others; then half as many prompts, drawn at random from every category, and so on.
    """
    everything = np.arange(len(explored.rows))
    _, layers, experts = explored.weights.shape
    most = max(2, min(MOST_IN_MATRIX, int(np.sqrt(_MOST_PRODUCTS / (layers * experts)))))
    matrix = np.isin(everything, _drawn(explored, signatures, everything, most))
    yield Shown(everything, np.ones(len(everything), dtype=np.bool_), matrix)
    kept = everything
    while len(kept) > 1:
        matrix = np.isin(kept, _drawn(explored, signatures, kept, most))
        yield Shown(kept, matrix, matrix)
        kept = _drawn(explored, signatures, kept, len(kept) // 2)


def traced(explored: ExploredPrompts, signatures: Signatures, shown: Shown) -> Iterator[NDArray[np.int64]]:
    """Yield the prompts, as places among the signatures, whose tokens a page may show, from all to ever fewer."""
    kept = shown.prompts
    while len(kept):
        yield explored.rows[kept]
        kept = _drawn(explored, signatures, kept, len(kept) // 2) if len(kept) > 1 else kept[:0]


def _drawn(explored: ExploredPrompts, signatures: Signatures, among: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of some explored prompts, drawn at random, and of every category where that can be."""
    if len(among) <= most:
        return among
    rows, table = explored.rows[among].tolist(), signatures.prompts
    labels = [table.categories[row] for row in rows]
    groups = None if table.groups is None else [table.groups[row] for row in rows]
    rng = np.random.default_rng([_SEED, len(among), most])
    drawn = drawn_rows(labels, groups, most, rng)
    return among[drawn[: len(among) - 1]]


def prompt_blocks(explored: ExploredPrompts, signatures: Signatures, shown: Shown) -> list[Block]:
    """Return the blocks of the prompts of a page.

    ``prompts`` are their ids, categories, texts and outputs; ``counts`` of the prompts in ``whole`` are of all experts,
    ``leading`` and ``leading-counts`` of the others are of the experts of a layer with most selections.
    """
    chosen, table = shown.prompts, signatures.prompts.take(explored.rows[shown.prompts])
    blocks = [
        json_block(
            "prompts",
            {
                "ids": list(table.ids),
                "categories": list(table.categories),
                "texts": None if table.texts is None else list(table.texts),
                "outputs": None if table.outputs is None else list(table.outputs),
            },
        ),
        array_block("rows", explored.rows[chosen].astype(np.uint32)),
        array_block("lengths", explored.tokens[chosen].astype(np.uint32)),
        array_block("whole", np.flatnonzero(shown.whole).astype(np.uint32)),
        array_block("matrix", np.flatnonzero(shown.matrix).astype(np.uint32)),
        array_block("counts", explored.weights[chosen[shown.whole]]),
        array_block("reached", explored.reached[chosen].astype(np.uint16)),
        array_block("expected", explored.expected[chosen].astype(np.float32)),
    ]
    others = explored.weights[chosen[~shown.whole]]
    if len(others):
        order = np.argsort(-others.astype(np.float64), axis=2, kind="stable")[:, :, :LEADING]
        blocks += [
            array_block("leading", narrowest(order)),
            array_block("leading-counts", np.take_along_axis(others, order, axis=2)),
            array_block("leading-sums", others.sum(axis=2, dtype=np.float64).astype(np.float32)),
        ]
    return blocks
