"""Samples of prompts: every category, and as many groups as fit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units, units_of

# A sample has at least this many units of each category, where there are as many: enough for five folds.
_LEAST_DRAWN = 5


def drawn_rows(
    labels: Sequence[str], groups: Sequence[str] | None, most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the rows of at most `most` prompts, ascending, and a few more where a category would have too few.

    Where prompts share groups, as many as fit of each group and category are drawn. Only if one of each is too many,
    groups are left out.
    """
    units = units_of(labels, groups)
    if units.design == "independent":
        kept = rng.choice(len(labels), most, replace=False)
        rows, some = np.arange(len(labels)), np.asarray(kept)
    else:
        rows = _rows_of_parts(units, most, rng)
        order = rng.permutation(len(units))
        held = np.cumsum(np.bincount(units.units[rows], minlength=len(units))[order])
        some = order[: int(np.searchsorted(held, most, "right"))]
    least = min(_LEAST_DRAWN, max(1, most // (2 * len(units.names))))
    for category in range(len(units.names)):
        holding = units.part_units[units.part_categories == category]
        missing = least - int(np.isin(holding, some).sum())
        if missing > 0:
            others = np.setdiff1d(holding, some)
            some = np.concatenate([some, rng.permutation(others)[:missing]])
    return np.sort(rows[np.isin(units.units[rows], some)])


def _rows_of_parts(units: Units, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the rows of as many prompts of each part, at least one, as leave `most` in all."""
    sizes = np.bincount(units.parts)
    held = np.cumsum(np.bincount(sizes)[:0:-1])[::-1]  # how many parts have at least 1, 2, … prompts
    each = max(1, int(np.searchsorted(np.cumsum(held), most, "right")))
    order = rng.permutation(len(units.parts))
    by_part = order[np.argsort(units.parts[order], kind="stable")]
    place = np.arange(len(by_part)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(by_part[place < each])
