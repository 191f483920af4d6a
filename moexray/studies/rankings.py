"""Stability of a ranking of experts: whether other prompts, or another category, have the same least used ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.pairs.summaries import Interval
from moexray.stats.workloads.coverage import chance_overlap, most_used
from moexray.studies.cohort import stream
from moexray.studies.coverage_counts import CoverageCounts

# Random splits in halves, over which overlaps are averaged.
_SPLITS = 10


@dataclass(frozen=True)
class LayerOverlap:
    """Overlap of the least used half of one layer's experts.

    Attributes
    ----------
    experts
        How many make the half.
    halves
        Between two halves of the prompts.
    same_category, other_category
        Between halves of the prompts of one category, and of two; None with one category.
    chance, chance_range
        Of two random sets, and the central 95 % of it.
    """

    layer: int
    experts: int
    halves: float
    same_category: float | None
    other_category: float | None
    chance: float
    chance_range: Interval


@dataclass(frozen=True)
class Stability:
    """Overlap of the least used half of experts, the mean of layers, and by layer.

    Attributes
    ----------
    splits
        Random splits in halves, over which overlaps are averaged.
    halves, halves_ci
        Between two halves of the prompts, with the 95 % interval over units.
    same_category, same_category_ci, other_category, other_category_ci
        Between halves of the prompts of one category, and of two; every category, and every pair, counts the same.
    difference, difference_ci
        `same_category` minus `other_category`: what a calibration set of another category costs beyond its size.
    chance
        Of two random sets.
    layers
        By layer.
    """

    splits: int
    halves: float
    halves_ci: Interval | None
    same_category: float | None
    same_category_ci: Interval | None
    other_category: float | None
    other_category_ci: Interval | None
    difference: float | None
    difference_ci: Interval | None
    chance: float
    layers: tuple[LayerOverlap, ...]


def stability(counts: CoverageCounts, signatures: Signatures, *, seed: int) -> tuple[Stability, str | None]:
    """Return overlaps of the least used half of experts, and why categories are not compared, where they are not.

    Prompts are split in halves by whole blocks of units, so that each category is halved.

    Parameters
    ----------
    counts
        What the prompts select.
    signatures
        Of them.
    seed
        Of the splits.

    Raises
    ------
    NotComputable
        If there are fewer than two units, or a layer has one expert only.
    """
    number = len(counts.units)
    sizes = signatures.experts // 2
    if number < 2 or sizes.min() < 1:
        message = "there is one prompt or group only" if number < 2 else "a layer has one expert only"
        raise NotComputable(message)
    why = _why_not(counts)
    rng = stream(seed, "coverage.splits")
    splits = [_split(counts.units.strata, rng) for _ in range(_SPLITS)]
    found, without = np.zeros((3, len(sizes))), np.zeros((number, 3, len(sizes)))
    for split in splits:
        of_all, of_others = _overlaps(counts, split, signatures.experts, by_category=why is None)
        found += of_all / _SPLITS
        without += of_others / _SPLITS
    means, left_out = found.mean(axis=1), without.mean(axis=2)
    halves, same, other = means.tolist()
    gap = means[1] - means[2]
    intervals = counts.units.intervals(means, left_out, bounds=(0.0, 1.0))
    of_gap = counts.units.interval(float(gap), left_out[:, 1] - left_out[:, 2], bounds=(-1.0, 1.0))
    chances = [chance_overlap(int(experts), int(size)) for experts, size in zip(signatures.experts, sizes, strict=True)]
    layers = (
        LayerOverlap(
            layer=layer,
            experts=int(size),
            halves=float(found[0, place]),
            same_category=None if why else float(found[1, place]),
            other_category=None if why else float(found[2, place]),
            chance=chance,
            chance_range=ends,
        )
        for place, (layer, size, (chance, ends)) in enumerate(
            zip(signatures.layers.tolist(), sizes, chances, strict=True)
        )
    )
    return Stability(
        splits=_SPLITS,
        halves=halves,
        halves_ci=intervals[0],
        same_category=None if why else same,
        same_category_ci=intervals[1],
        other_category=None if why else other,
        other_category_ci=intervals[2],
        difference=None if why else same - other,
        difference_ci=of_gap,
        chance=float(np.mean([chance for chance, _ in chances])),
        layers=tuple(layers),
    ), why


def _why_not(counts: CoverageCounts) -> str | None:
    """Return why categories cannot be compared; None if they can."""
    if len(counts.categories) < 2:
        return "there is one category only"
    blocks = [len(set(counts.block_of[counts.category_of == one].tolist())) for one in range(len(counts.categories))]
    small = [name for name, size in zip(counts.categories, blocks, strict=True) if size < 4]
    if small:
        return f"category {small[0]!r} has fewer than four prompts or groups, so it has no halves to compare"
    return None


def _split(strata: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:  # (blocks,)
    """Return the half, 0 or 1, of each block, so that every stratum is halved."""
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    half = np.empty(len(strata), dtype=np.int64)
    half[order] = np.arange(len(strata)) % 2
    return half


def _overlaps(
    counts: CoverageCounts, split: NDArray[np.int64], experts: NDArray[np.integer], *, by_category: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (3, layers), (blocks, 3, layers)
    """Return the overlap between halves of all prompts, of one category, and of two; then without each block."""
    categories = len(counts.categories)
    shape = (2, categories, *counts.cells.shape[1:])
    half = split[counts.block_of]
    sums = np.zeros(shape, dtype=np.int64)
    np.add.at(sums, (half, counts.category_of), counts.cells)

    def overlaps(of_halves: NDArray[np.int64]) -> NDArray[np.float64]:
        first, second = least_used(of_halves.sum(axis=1), experts)
        found = np.full((3, len(experts)), np.nan)
        found[0] = (first * second).sum(axis=-1)
        if by_category:
            least = least_used(of_halves, experts)
            own = (least[0] * least[1]).sum(axis=(0, -1))
            every = (least[0].sum(axis=0) * least[1].sum(axis=0)).sum(axis=-1)
            found[1:] = own / categories, (every - own) / (categories * (categories - 1))
        return np.asarray(found / (experts // 2))

    def without(block: int) -> NDArray[np.float64]:
        rest = sums.copy()
        own = np.flatnonzero(counts.block_of == block)
        np.subtract.at(rest, (half[own], counts.category_of[own]), counts.cells[own])
        return overlaps(rest)

    return overlaps(sums), np.array([without(block) for block in range(len(counts.units))])


def least_used(sums: NDArray[np.number], experts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return which experts are in the least used half of each layer, with shares where they are tied.

    Parameters
    ----------
    sums
        Selections ``(…, layers, experts)``.
    experts
        Experts of each layer ``(layers,)``.
    """
    real = np.where(np.arange(sums.shape[-1]) < experts[:, None], sums.astype(np.float64), np.inf)
    sizes = experts // 2
    if (sizes == sizes[0]).all():
        return most_used(-real, int(sizes[0]))
    return np.stack([most_used(-real[..., place, :], int(size)) for place, size in enumerate(sizes)], axis=-2)
