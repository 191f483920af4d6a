"""The routing of one kind of tokens in two sets of prompts, as documents and photographs: loads and their balance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.location import layer_locations
from moexray.stats.inference.intervals import clipped
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.multiple import max_t_p_values
from moexray.stats.kinds.bias import check_enough, check_present, corrected, information, shares_of, specialisation
from moexray.stats.kinds.exchange import without_each
from moexray.stats.kinds.separate import mean_shares, means_without_each
from moexray.stats.pairs.summaries import Interval

_SUBSETS = 30


@dataclass(frozen=True)
class ShiftedLayer:
    """One kind's load in one layer, in two sets, with equal weight for every unit.

    Attributes
    ----------
    jensen_shannon, jensen_shannon_floor
        Divergence of the mean shares in bits, and its mean over shuffles of the sets over units.
    p_value, adjusted
        Of the squared distance between the mean shares, studentised; adjusted for all layers and kinds.
    entropy, entropy_ci
        Normalised entropy of the second set's mean shares minus that of the first, and its 95 % interval over the units
        of both; corrected for the bias of few units by the jackknife.
    """

    jensen_shannon: float
    jensen_shannon_floor: float
    p_value: float
    adjusted: float
    entropy: float
    entropy_ci: Interval | None


def shift_of_kinds(
    kinds: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    experts: NDArray[np.integer],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> list[list[ShiftedLayer]]:
    """Compare the load of each kind in two sets, layer by layer.

    The test is that of `moexray.stats.categories.location`, which holds its level where sets differ in the number,
    length and spread of their units. The greatest statistic over all layers and kinds adjusts p. Kinds are shuffled by
    themselves, since other units may hold them: if they are alike, the adjustment is too strict, never too weak.

    Parameters
    ----------
    kinds
        For each kind the selections in the first set and in the second, ``(units of the set, layers, experts)`` each.
    experts
        Number of experts of each layer ``(layers,)``.
    permutations, rng
        Number of permutations of the sets over units, and their seed or generator.

    Raises
    ------
    NotComputable
        If a kind has fewer than three units in a set, or no selection in some layer of it.
    """
    generator = np.random.default_rng(rng)
    parts = [_one_kind(*kind, experts, permutations=permutations, rng=generator) for kind in kinds]
    tests = max_t_p_values(np.concatenate([tested for _, tested in parts], axis=1))
    layers = len(experts)
    return [
        [
            replace(one, p_value=tests.p_values[place], adjusted=tests.adjusted[place])
            for place, one in enumerate(found, start=kind * layers)
        ]
        for kind, (found, _) in enumerate(parts)
    ]


def normalised_entropy(shares: NDArray[np.float64], experts: NDArray[np.integer]) -> NDArray[np.float64]:  # (…, layers)
    """Return the entropy of shares ``(…, layers, experts)`` over that of equal shares; 1 for a layer of one expert."""
    from scipy.special import xlogy

    most = np.log(np.maximum(experts, 2))
    return np.asarray(np.where(np.asarray(experts) > 1, -xlogy(shares, shares).sum(axis=-1) / most, 1.0))


@dataclass(frozen=True)
class MsiShift:
    """MSI of a second set of units minus that of a first, with equal weight for every unit and as many units of each.

    Attributes
    ----------
    units
        As many of each set: MSI is higher for fewer units, so that of the larger set is a mean over subsets.
    difference, ci
        Mean over layers, and its 95 % jackknife interval over the units of both sets.
    by_layer, by_layer_ci
        Of each layer.
    """

    units: int
    difference: float
    ci: Interval | None
    by_layer: tuple[float, ...]
    by_layer_ci: tuple[Interval | None, ...]


def msi_shift(
    first: tuple[NDArray[np.integer], NDArray[np.integer]],
    second: tuple[NDArray[np.integer], NDArray[np.integer]],
    *,
    rng: int | np.random.Generator,
) -> MsiShift:
    """Compare the MSI of two kinds in two sets of units that hold both.

    Parameters
    ----------
    first, second
        Of each set: selections by the tokens of both kinds, ``(units, layers, experts)`` each.
    rng
        Seed or generator of the subsets.

    Raises
    ------
    NotComputable
        If a set has fewer than three units with both kinds, or none in some layer.
    """
    generator = np.random.default_rng(rng)
    shares, there = zip(*(_of_both(*one) for one in (first, second)), strict=True)
    units = min(len(one) for one in there)
    values, lefts = [], []
    for both, present in zip(shares, there, strict=True):
        of_all = len(present) == units
        chosen = [generator.choice(len(present), units, replace=False) for _ in range(1 if of_all else _SUBSETS)]
        values.append(np.mean([_msi(both[:, rows], present[rows]) for rows in chosen], axis=0))
        left = specialisation(*(without_each(one, present) for one in both))
        lefts.append(left - _msi(both, present))
    difference = values[1] - values[0]
    changes = np.concatenate([-lefts[0], lefts[1]])
    sets = np.repeat([0, 1], [len(one) for one in lefts])
    return MsiShift(
        units=units,
        difference=float(difference.mean()),
        ci=_interval(float(difference.mean()), changes.mean(axis=1), sets),
        by_layer=tuple(difference.tolist()),
        by_layer_ci=tuple(_interval(value, changes[:, place], sets) for place, value in enumerate(difference.tolist())),
    )


def _of_both(
    first: NDArray[np.integer], second: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # (2, units, layers, experts), (units, layers)
    together = np.asarray(first.any(axis=2) & second.any(axis=2))
    both = np.asarray(together.any(axis=1))
    check_enough(int(both.sum()), "of a set hold both kinds")
    counts = np.stack([first[both], second[both]])
    present = np.asarray(counts.any(axis=3).all(axis=0))
    check_present(present, "selections of both kinds")
    return np.asarray(np.where(present[..., None], shares_of(counts), 0)), present


def _msi(shares: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:  # (layers,)
    sizes = np.maximum(present.sum(axis=0), 1)[:, None]
    first, second = (one.sum(axis=0) / sizes for one in shares)
    return specialisation(first, second)


def _interval(value: float, changes: NDArray[np.float64], sets: NDArray[np.integer]) -> Interval | None:
    return clipped(jackknife_interval(value, value + changes, sets), (-1.0, 1.0))


def _one_kind(
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    experts: NDArray[np.integer],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[list[ShiftedLayer], NDArray[np.float64]]:  # (1 + permutations, layers)
    """Return the layers, whose p-values are to be adjusted, and the statistics of the test."""
    for counts in (first, second):
        check_enough(len(counts), "of a set hold a kind")
    shares = shares_of(np.concatenate([first, second]))
    sets = np.repeat([0, 1], [len(first), len(second)])
    present = np.asarray(shares.any(axis=2))
    for one in (0, 1):
        check_present(present[sets == one], "a selection in each set")
    tested = layer_locations(shares, sets.astype(str).tolist(), permutations=permutations, rng=rng)

    def bits(labels: NDArray[np.integer]) -> NDArray[np.float64]:
        return np.asarray(information(*mean_shares(shares, present, labels)) / np.log(2))

    observed, chance = bits(sets), np.mean([bits(rng.permutation(sets)) for _ in range(permutations)], axis=0)
    before, after = (normalised_entropy(one, experts) for one in mean_shares(shares, present, sets))
    left = [normalised_entropy(one, experts) for one in means_without_each(shares, present, sets)]
    found = []
    for place in range(len(experts)):
        rows = present[:, place]
        changes, change = (left[1] - left[0])[rows, place], float(after[place] - before[place])
        entropy = corrected(change, changes, sets[rows])
        found.append(
            ShiftedLayer(
                jensen_shannon=float(observed[place]),
                jensen_shannon_floor=float(chance[place]),
                p_value=1.0,
                adjusted=1.0,
                entropy=entropy,
                entropy_ci=clipped(jackknife_interval(entropy, changes, sets[rows]), (-1.0, 1.0)),
            )
        )
    return found, tested
