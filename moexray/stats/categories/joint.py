"""One p for all specifications together: labels are permuted once, and every specification is computed anew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.alternatives import representations
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of

# Effects that vary by less over labelings are equal up to rounding.
_ROUNDING = 1e-12
_MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class SpecificationTest:
    """Test of all specifications together.

    Attributes
    ----------
    statistic
        The median over specifications of the category effect in units of its own spread under permuted labels.
    p_value
        One-sided, with labels permuted once for all specifications.
    specifications
        How many have an effect that labels change.
    permutations
        Number of permutations.
    """

    statistic: float
    p_value: float
    specifications: int
    permutations: int


def specification_test(
    loads: Mapping[str, NDArray[np.integer]],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    masses: Mapping[str, NDArray[np.floating]] | None = None,
    permutations: int,
    rng: int | np.random.Generator,
) -> SpecificationTest:
    """Test whether the specifications of `moexray.stats.specifications`, taken together, show more than chance.

    The whole table is computed anew for each permutation of the labels (U. Simonsohn, J. Simmons and L. Nelson, Nature
    Human Behaviour 4, 2020). A permutation is one labeling of all prompts, so that the dependence of specifications on
    each other is that of the table itself; where a category is left out, these are the prompts that it labels so. The
    statistic is the median over specifications of (T_s − mean T_s) / std T_s, with T_s the mean similarity within minus
    across and mean and std over all labelings: specifications of unlike scale count the same, none decides alone, and
    no threshold is chosen, as the share of specifications below 0.05 would need.

    Parameters
    ----------
    loads, labels, masses
        See `moexray.stats.specifications`.
    groups
        The group of each prompt: see `moexray.stats.inference.units.units_of`.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across, or labels change no specification.
    """
    units = units_of(labels, groups)
    units.check_pairs()
    labelings = np.concatenate(list(units.labelings(permutations, rng, first=True)))
    effects = np.concatenate([_effects(*one, units, labelings) for one in _every(loads, masses)])
    spread = effects.std(axis=1)
    varies = spread > _ROUNDING
    if not varies.any():
        message = "no specification has an effect that other labels would change"
        raise NotComputable(message)
    scaled = (effects[varies] - effects[varies].mean(axis=1, keepdims=True)) / spread[varies, None]
    medians = np.median(scaled, axis=0)
    return SpecificationTest(
        statistic=float(medians[0]),
        p_value=p_value(float(medians[0]), medians[1:]),
        specifications=int(varies.sum()),
        permutations=permutations,
    )


def _every(
    loads: Mapping[str, NDArray[np.integer]], masses: Mapping[str, NDArray[np.floating]] | None
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield unit vectors of each segment and measure, zero where a prompt has none, and which prompts have one."""
    for tokens, counts in loads.items():
        present = counts.sum(axis=(1, 2)) > 0
        if not present.any():
            continue
        for _, _, vectors in representations(counts[present], None if masses is None else masses[tokens][present]):
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            if lengths.all():
                units = np.zeros((len(counts), vectors.shape[1]))
                units[present] = vectors / lengths
                yield units, present


def _effects(
    vectors: NDArray[np.float64], present: NDArray[np.bool_], units: Units, labelings: NDArray[np.integer]
) -> NDArray[np.float64]:  # (specifications, labelings)
    """Return the effect of all categories and, of three or more, without each; 0 where a labeling has no such pairs."""
    categories = len(units.names)
    parts, sizes = units.sums(vectors), units.sums(present)
    apart = units.part_units[:, None] != units.part_units
    matrices = parts @ parts.T * apart, np.outer(sizes, sizes) * apart
    rows = max(1, _MOST_NUMBERS // (len(parts) * categories))
    totals, pairs = (
        np.concatenate(
            [_between(matrix, labelings[start : start + rows], categories) for start in range(0, len(labelings), rows)]
        )
        for matrix in matrices
    )
    kept = [np.arange(categories)]
    if categories > 2:
        kept += [np.delete(kept[0], left_out) for left_out in range(categories)]
    return np.stack([_effect(totals[:, some][:, :, some], pairs[:, some][:, :, some]) for some in kept])


def _between(
    matrix: NDArray[np.float64], labelings: NDArray[np.integer], categories: int
) -> NDArray[np.float64]:  # (labelings, categories, categories)
    """Sum the matrix of parts over each two categories of each labeling."""
    marks = (labelings[:, None] == np.arange(categories)[:, None]).astype(np.float64)  # (labelings, categories, parts)
    return np.asarray((marks @ matrix) @ marks.swapaxes(1, 2))


def _effect(totals: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:  # (labelings,)
    """Return mean similarity within minus across from sums over ordered pairs of categories."""
    within, of = (np.trace(part, axis1=1, axis2=2) for part in (totals, pairs))
    across, between = totals.sum(axis=(1, 2)) - within, pairs.sum(axis=(1, 2)) - of
    known = (of > 0) & (between > 0)
    return np.where(known, within / np.where(known, of, 1) - across / np.where(known, between, 1), 0.0)
