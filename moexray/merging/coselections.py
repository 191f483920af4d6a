"""The co-selections of several captures as one: their sum."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.coselection_file import members_of_pairs, read_pairs
from moexray.merging.signatures import Plan
from moexray.signatures import Signatures
from moexray.signatures_file import fill_members


def fill_merged_pairs(plan: Plan, paths: Sequence[Path], partial: Path) -> None:
    """Write the sum of the co-selections of all parts, each compared with its signatures, to a file not there yet.

    Raises
    ------
    SignaturesError
        If a file is damaged, or not of its signatures.
    """
    _, segments, layers, experts = plan.parts[0].shape
    pairs = np.zeros((segments, layers, experts, experts), dtype=np.uint64)
    for part, path in zip(plan.parts, paths, strict=True):
        may_drop = bool(part.meta.get("router_may_drop"))
        pairs += read_pairs(path, _selected(part), part.layers, part.top_k, may_drop=may_drop)
    fill_members(partial, members_of_pairs(pairs, plan.layers.astype(np.int16)))


def _selected(part: Signatures) -> NDArray[np.int64]:  # (segments, layers, experts)
    selected = np.zeros(part.shape[1:], dtype=np.int64)
    for block in part.blocks():
        selected += block.counts.sum(axis=0, dtype=np.int64)
    return selected
