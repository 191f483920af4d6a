"""Tokens and selections of each segment: of each category, and of each expert."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.segments import short_names
from moexray.signatures import Signatures


@dataclass(frozen=True, eq=False)
class SegmentSelections:
    """What was recorded of each segment of the prompts, whichever tokens a study is of.

    Attributes
    ----------
    categories
        Their names, sorted.
    segments
        Names of the segments that hold a token, in the order of the signatures.
    tokens, selections
        Routed tokens, and selections in all layers together, of each category ``(categories, segments)``.
    loads
        Selections of each expert ``(segments, layers, experts)``.
    """

    categories: tuple[str, ...]
    segments: tuple[str, ...]
    tokens: NDArray[np.int64]
    selections: NDArray[np.int64]
    loads: NDArray[np.int64]


def segment_selections(signatures: Signatures) -> SegmentSelections:
    """Add up the tokens and the selections of each segment, in blocks."""
    categories = tuple(sorted(set(signatures.prompts.categories)))
    _, segments, layers, experts = signatures.shape
    tokens = np.zeros((len(categories), segments), dtype=np.int64)
    selections = np.zeros_like(tokens)
    loads = np.zeros((segments, layers, experts), dtype=np.int64)
    for block in signatures.blocks():
        numbers = np.searchsorted(categories, block.prompts.categories)
        np.add.at(tokens, numbers, block.tokens)
        np.add.at(selections, numbers, block.counts.sum(axis=(2, 3), dtype=np.int64))
        loads += block.counts.sum(axis=0, dtype=np.int64)
    held = np.flatnonzero(tokens.any(axis=0))
    names = short_names([signatures.segments[place] for place in held])
    return SegmentSelections(categories, tuple(names), tokens[:, held], selections[:, held], loads[held])
