"""Two kinds of tokens compared within units: what exchanging a unit's two kinds as a whole makes of the difference.

A unit is a prompt, or all prompts of one group: its tokens depend on each other (an image's tokens are alike), so
tokens are never shuffled. Every unit weighs the same in both kinds. So a unit drops out of the difference unless its
own two kinds differ: long prompts of one sort, which hold much text and few images, cannot make a difference between
kinds. With total counts they would.

Exchanging the kinds of some units turns the signs of their differences of shares, and leaves the sum of both loads as
it is. Two different questions follow.

*The floor* of MSI and of the divergence is their mean over these exchanges: what they would be if each unit's two kinds
could be exchanged, with their lengths and bunching. Both are above zero by chance, and higher for fewer units.

*The test* asks less: whether the mean difference over units is zero. Its statistic is the squared length of that mean.
It is valid, to first order, whatever the lengths and the spread of the two kinds (J. Romano, J. Am. Stat. Assoc. 85,
1990). MSI and the divergence divide by the load of each expert, so the experts that few units reach decide. If all
tokens of an image go to one expert, no exchange imitates these experts. In 200 simulated studies each of 8, 20 and 60
prompts, whose kinds had equal mean loads, p of MSI would be ≤ 0.05 in 95 to 100 %, p of the divergence in 56 to 81 %,
and p of the squared length was in 1.5 to 4 %. So the floor is then too low, and the test decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.multiple import max_t_p_values
from moexray.stats.inference.permutation import p_value
from moexray.stats.kinds.bias import check_enough, check_present, corrected, information, shares_of, specialisation
from moexray.stats.pairs.summaries import Interval

_MOST_NUMBERS = 2**22
# The share of exchanges that `msi_high` is above.
_HIGH = 0.95
_DIGITS = 12


@dataclass(frozen=True)
class LayerDifference:
    """The difference between two kinds in one layer, with equal weight for every unit.

    Attributes
    ----------
    units
        How many have a selection of the kinds in this layer.
    msi, msi_floor, msi_high
        MSI of the mean shares, its mean over exchanges of kinds, and what 95 % of exchanges stay below.
    jensen_shannon, jensen_shannon_floor
        Divergence of the mean shares in bits, which is the share of H(kind) that the expert tells if both kinds weigh
        alike, and its mean over exchanges.
    jensen_shannon_corrected, jensen_shannon_ci
        The divergence without its bias of order 1/units, by the jackknife, and its 95 % interval over units. None
        where there are too few of a sort.
    p_value, adjusted
        Of the squared distance between the mean shares; adjusted for the number of layers by the maximum.
    """

    units: int
    msi: float
    msi_floor: float
    msi_high: float
    jensen_shannon: float
    jensen_shannon_floor: float
    jensen_shannon_corrected: float | None
    jensen_shannon_ci: Interval | None
    p_value: float
    adjusted: float


@dataclass(frozen=True)
class KindDifference:
    """The difference between two kinds, with equal weight for every unit: the mean over layers, and layer by layer.

    Attributes
    ----------
    units
        Number of units: those with both kinds, or those of both sorts together.
    msi, msi_floor, msi_high
        Mean over layers of MSI, its mean over exchanges, and what 95 % of exchanges stay below.
    p_value
        Of the squared distance between the mean shares, summed over layers.
    permutations
        Number of exchanges.
    layers
        The same of each layer.
    """

    units: int
    msi: float
    msi_floor: float
    msi_high: float
    p_value: float
    permutations: int
    layers: tuple[LayerDifference, ...]


def difference_within(
    first: NDArray[np.integer], second: NDArray[np.integer], *, permutations: int, rng: int | np.random.Generator
) -> KindDifference:
    """Compare two kinds within units.

    Parameters
    ----------
    first, second
        Selections by the tokens of each kind ``(units, layers, experts)``. A unit without a selection of both kinds
        in a layer is left out of that layer.
    permutations, rng
        Number of exchanges, which all layers share, and their seed or generator.

    Raises
    ------
    NotComputable
        If no unit has both kinds in some layer, or fewer than three units have both.
    """
    there = np.asarray(first.any(axis=2) & second.any(axis=2))
    check_enough(int(there.any(axis=1).sum()), "hold both kinds")
    check_present(there, "selections of both kinds")
    one, other = (np.where(there[..., None], shares_of(counts), 0) for counts in (first, second))
    sizes = there.sum(axis=0)
    differences = (one - other) / sizes[:, None]
    middle = (one + other).sum(axis=0) / sizes[:, None] / 2
    found = [_statistics(middle, differences.sum(axis=0)[None])]
    generator, step = np.random.default_rng(rng), max(1, _MOST_NUMBERS // max(middle.size, len(one)))
    flat = differences.reshape(len(one), -1)
    for start in range(0, permutations, step):
        signs = generator.choice([-1.0, 1.0], size=(min(step, permutations - start), len(one)))
        found.append(_statistics(middle, (signs @ flat).reshape(-1, *middle.shape)))
    statistics = tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
    left_out = without_each(one, there), without_each(other, there)
    strata = np.zeros(len(one), dtype=np.int64)
    return difference_of(statistics, left_out, strata, present=there)


def difference_of(
    statistics: tuple[NDArray[np.float64], ...],  # msi, bits, tested: (1 + permutations, layers) each
    left_out: tuple[NDArray[np.float64], NDArray[np.float64]],  # mean shares without each unit
    strata: NDArray[np.integer],
    *,
    present: NDArray[np.bool_],
) -> KindDifference:
    """Return the difference from statistics of the kinds as they are, in the first row, and exchanged."""
    msi, bits, tested = statistics
    bits_left_out = information(*left_out) / np.log(2)
    tests = max_t_p_values(tested)
    layers = []
    for place in range(msi.shape[1]):
        rows = present[:, place]
        value, ci = _corrected_bits(float(bits[0, place]), bits_left_out[rows, place], strata[rows])
        layers.append(
            LayerDifference(
                units=int(rows.sum()),
                msi=float(msi[0, place]),
                msi_floor=float(msi[1:, place].mean()),
                msi_high=float(np.quantile(msi[1:, place], _HIGH)),
                jensen_shannon=float(bits[0, place]),
                jensen_shannon_floor=float(bits[1:, place].mean()),
                jensen_shannon_corrected=value,
                jensen_shannon_ci=ci,
                p_value=tests.p_values[place],
                adjusted=tests.adjusted[place],
            )
        )
    over_layers, summed = msi.mean(axis=1), np.round(tested.sum(axis=1), _DIGITS)
    return KindDifference(
        units=int(present.any(axis=1).sum()),
        msi=float(over_layers[0]),
        msi_floor=float(over_layers[1:].mean()),
        msi_high=float(np.quantile(over_layers[1:], _HIGH)),
        p_value=p_value(float(summed[0]), summed[1:]),
        permutations=len(msi) - 1,
        layers=tuple(layers),
    )


def _corrected_bits(
    value: float, left_out: NDArray[np.float64], strata: NDArray[np.integer]
) -> tuple[float | None, Interval | None]:
    if not np.isfinite(left_out).all():
        return None, None
    found = corrected(value, left_out, strata)
    return bounded(found, (0.0, 1.0)), clipped(jackknife_interval(found, left_out, strata), (0.0, 1.0))


def without_each(
    shares: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:  # (units, layers, experts)
    """Return the mean shares of the units that are present, without each unit in turn; NaN where none is left."""
    sizes = (present.sum(axis=0) - present)[..., None]
    sums = shares.sum(axis=0) - shares
    return np.asarray(np.divide(sums, sizes, out=np.full(shares.shape, np.nan), where=sizes > 0))


def _statistics(
    middle: NDArray[np.float64], differences: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # (exchanges, layers) each
    """Return MSI, the divergence in bits and the squared distance of two loads, from their middle and difference."""
    first, second = np.maximum(middle + differences / 2, 0), np.maximum(middle - differences / 2, 0)
    bits = information(first, second) / np.log(2)
    return specialisation(first, second), bits, np.round((differences**2).sum(axis=2), _DIGITS)
