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
        pairs += pairs_beside(part, path)
    fill_members(partial, members_of_pairs(pairs, plan.layers.astype(np.int16)))


def pairs_beside(signatures: Signatures, path: Path) -> NDArray[np.uint64]:  # (segments, layers, experts, experts)
    """Read the co-selections of some signatures.

    Raises
    ------
    SignaturesError
        If the file is missing or damaged, or not of these signatures.
    """
    selected = np.zeros(signatures.shape[1:], dtype=np.int64)
    for block in signatures.blocks():
        selected += block.counts.sum(axis=0, dtype=np.int64)
    may_drop = bool(signatures.meta.get("router_may_drop"))
    return read_pairs(path, selected, signatures.layers, signatures.top_k, may_drop=may_drop)
