"""Blocks of units that a jackknife leaves out in turn, where all prompts are studied and memory is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.ratios import pooled_intervals
from moexray.stats.inference.units import units_of

# Each is left out once; of so many, one more would not narrow an interval.
MOST_BLOCKS = 96
# A category keeps as many blocks, so that its part of the variance can be told.
_LEAST = 3
TOO_FEW = (
    "no intervals: a category has fewer than three prompts or groups, or fewer than three groups hold several "
    "categories"
)


@dataclass(frozen=True)
class UnitBlocks:
    """Prompts in blocks of whole units, each of one stratum.

    Attributes
    ----------
    blocks
        The block of each prompt ``(prompts,)``; −1 for a prompt that is not studied.
    strata
        The stratum of each block, `moexray.stats.inference.units.Units.strata` ``(blocks,)``.
    units
        How many units there are.
    """

    blocks: NDArray[np.int64]
    strata: NDArray[np.int64]
    units: int

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def can_be_left_out(self) -> bool:
        """Whether every stratum has enough blocks for an interval."""
        return len(self) > 0 and bool(np.bincount(self.strata)[self.strata].min() >= _LEAST)

    def interval(
        self, estimate: float, left_out: NDArray[np.float64], *, bounds: tuple[float, float] | None = None
    ) -> tuple[float, float] | None:
        """95 % interval of one statistic; see `intervals`.

        Parameters
        ----------
        estimate
            The statistic over all prompts.
        left_out
            The statistic without each block ``(blocks,)``.
        bounds
            The range of the statistic, if it has one.
        """
        return self.intervals(np.array([estimate]), left_out[:, None], bounds=bounds)[0]

    def intervals(
        self,
        estimates: NDArray[np.float64],
        left_out: NDArray[np.float64],
        *,
        bounds: tuple[float, float] | None = None,
    ) -> tuple[tuple[float, float] | None, ...]:
        """95 % jackknife intervals of statistics that pool the prompts of all strata.

        See `moexray.stats.inference.ratios.pooled_intervals`.

        Parameters
        ----------
        estimates
            The statistics over all prompts ``(statistics,)``.
        left_out
            The statistics without each block ``(blocks, statistics)``.
        bounds
            The range of the statistics, which intervals are clipped to.

        Returns
        -------
        The two ends of each; None where a stratum has too few blocks, or a value is not finite.
        """
        if not self.can_be_left_out:
            return (None,) * len(estimates)
        known = np.isfinite(estimates) & np.isfinite(left_out).all(axis=0)
        lows, highs = pooled_intervals(estimates, np.where(known, left_out, 0.0), self.strata).T
        if bounds is not None:  # rounding can leave an estimate outside of its range, and never outside of its interval
            lows = np.minimum(np.maximum(lows, bounds[0]), estimates)
            highs = np.maximum(np.minimum(highs, bounds[1]), estimates)
        ends = zip(lows.tolist(), highs.tolist(), known.tolist(), strict=True)
        return tuple((low, high) if is_known else None for low, high, is_known in ends)


def unit_blocks(
    labels: Sequence[str],
    groups: Sequence[str] | None,
    *,
    studied: NDArray[np.bool_] | None = None,
    most: int = MOST_BLOCKS,
) -> UnitBlocks:
    """Deal the units of each category to blocks in turn: each unit is one, or several share one where there are many.

    Parameters
    ----------
    labels, groups
        Category and group of each prompt; prompts of one group are one unit.
    studied
        Which prompts are studied; by default all.
    most
        How many blocks there may be. Where three of each category would be more, categories are not told apart, which
        makes intervals wider.
    """
    chosen = (np.arange(len(labels)) if studied is None else np.flatnonzero(studied)).tolist()
    blocks = np.full(len(labels), -1)
    if not len(chosen):
        return UnitBlocks(blocks, np.zeros(0, dtype=np.int64), 0)
    units = units_of(
        [labels[place] for place in chosen], None if groups is None else [groups[place] for place in chosen]
    )
    of_unit = np.full(len(units), -1)
    strata: list[int] = []
    numbers = units.strata if _LEAST * len(np.unique(units.strata)) <= most else np.zeros(len(units), dtype=np.int64)
    sizes = np.bincount(numbers)
    for stratum in np.flatnonzero(sizes).tolist():
        size = int(sizes[stratum])
        number = size if len(units) <= most else min(size, max(_LEAST, most * size // len(units)))
        of_unit[numbers == stratum] = len(strata) + np.arange(size) % number
        strata += [stratum] * number
    blocks[chosen] = of_unit[units.units]
    return UnitBlocks(blocks, np.array(strata), len(units))
