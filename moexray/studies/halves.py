"""Prompts split in halves: one to learn from, one to score what was learnt, by whole units."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.ratios import pooled_intervals
from moexray.stats.inference.units import units_of

# Units are left out of a score in at most this many blocks, so that intervals take bounded memory.
MOST_BLOCKS = 64


@dataclass(frozen=True)
class Halves:
    """Two halves of some prompts that share no unit, and the blocks of units that intervals leave out in turn.

    Attributes
    ----------
    learnt, scored
        Places of the prompts of each half, ascending.
    blocks
        The block of each scored prompt ``(scored,)``: a unit, or several units of one stratum where there are many.
    strata
        The stratum of each block, `moexray.stats.inference.units.Units.strata` ``(blocks,)``.
    """

    learnt: NDArray[np.int64]
    scored: NDArray[np.int64]
    blocks: NDArray[np.int64]
    strata: NDArray[np.int64]

    def interval(
        self, statistic: Callable[[NDArray[np.float64]], float], sums: NDArray[np.float64]
    ) -> tuple[float, float] | None:
        """95 % jackknife interval of a function of sums over all scored prompts.

        Categories are pooled: see `moexray.stats.inference.ratios.pooled_intervals`. Blocks of several units are left
        out together: a delete-a-group jackknife (J. Shao and D. Tu, The Jackknife and Bootstrap, 1995, section 2.3).

        Parameters
        ----------
        statistic
            Takes sums ``(…)`` and returns a number.
        sums
            The sums of each block ``(blocks, …)``.

        Returns
        -------
        The two ends; None if a stratum has too few blocks, or the statistic is not finite without some block.
        """
        total = sums.sum(axis=0)
        left_out = np.array([statistic(total - of_block) for of_block in sums])
        low, high = pooled_intervals(np.array(statistic(total)), left_out, self.strata)
        return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def halves_of(labels: Sequence[str], groups: Sequence[str] | None, rng: int | Generator) -> Halves:
    """Split prompts in two halves at random, so that each category has half of its units in either.

    Parameters
    ----------
    labels, groups
        Category and group of each prompt; prompts of one group are one unit, and stay together.
    rng
        Seed or generator.

    Raises
    ------
    NotComputable
        If there are fewer than two units.
    """
    generator = np.random.default_rng(rng)
    units = units_of(labels, groups)
    if len(units) < 2:
        message = "all prompts are of one group: there is nothing to score on what they teach"
        raise NotComputable(message)
    # Shuffled, then sorted by stratum: dealt in turn, every stratum is halved, and so are all units together.
    order = generator.permutation(len(units))
    order = order[np.argsort(units.strata[order], kind="stable")]
    scored_units = order[1::2]
    is_scored = np.zeros(len(units), dtype=bool)
    is_scored[scored_units] = True
    block_of_unit, strata = _blocks(units.strata, scored_units)
    scored = np.flatnonzero(is_scored[units.units])
    return Halves(np.flatnonzero(~is_scored[units.units]), scored, block_of_unit[units.units[scored]], strata)


def all_scored(labels: Sequence[str], groups: Sequence[str] | None) -> Halves:
    """Return halves of which one holds all prompts, to score what was learnt elsewhere or not at all.

    Parameters
    ----------
    labels, groups
        See `halves_of`.
    """
    units = units_of(labels, groups)
    block_of_unit, strata = _blocks(units.strata, np.arange(len(units)))
    return Halves(np.zeros(0, dtype=np.int64), np.arange(len(labels)), block_of_unit[units.units], strata)


def _blocks(strata: NDArray[np.int64], scored: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the block of each unit, −1 where it is not scored, and the stratum of each block."""
    found = np.full(len(strata), -1)
    of_block: list[int] = []
    _, sizes = np.unique(strata[scored], return_counts=True)
    share = min(1.0, MOST_BLOCKS / len(scored))
    for stratum, size in zip(np.unique(strata[scored]).tolist(), sizes.tolist(), strict=True):
        blocks = size if share == 1 else max(1, min(size, max(3, int(share * size))))
        found[scored[strata[scored] == stratum]] = len(of_block) + np.arange(size) % blocks
        of_block += [stratum] * blocks
    return found, np.array(of_block)
