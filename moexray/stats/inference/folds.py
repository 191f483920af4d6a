"""Folds of cross-validation: stratified by category, groups never split."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.units import Units

# Training rows and test rows.
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def splits(truth: NDArray[np.integer], groups: NDArray[np.integer], folds: int, seed: int) -> Iterator[Split]:
    """Yield the training and test rows of each fold: stratified by category, groups never split.

    Parameters
    ----------
    truth
        The category of each prompt, by number.
    groups
        The group of each prompt, by number: see `moexray.stats.inference.labels.group_numbers`.
    folds
        Number of folds.
    seed
        Decides which prompts share a fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    rows = np.zeros(len(truth))
    if len(np.unique(groups)) < len(groups):
        yield from StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, truth, groups)
    else:
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, truth)


def repeated_splits(
    truth: NDArray[np.integer], groups: NDArray[np.integer], *, folds: int, repeats: int, seed: int
) -> list[Split]:
    """Return the folds of several partitions, one after the other: `splits` of this seed and of those after it."""
    named = tuple(truth.tolist()), tuple(groups.tolist())
    return [split for number in range(repeats) for split in _splits(*named, folds, seed + number)]


@lru_cache(maxsize=64)
def _splits(truth: tuple[int, ...], groups: tuple[int, ...], folds: int, seed: int) -> tuple[Split, ...]:
    """Return what `splits` yields; every layer and control has the same folds."""
    return tuple(splits(np.array(truth), np.array(groups), folds, seed))


def unlabelled_splits(
    groups: NDArray[np.integer], *, folds: int, repeats: int, rng: int | np.random.Generator
) -> list[Split]:
    """Return the folds of several partitions that know nothing of categories, so that any labels can share them.

    Groups go at random, the large ones first, to the fold with the fewest prompts so far.

    Parameters
    ----------
    groups
        The group of each prompt, by number.
    folds, repeats
        Number of folds, and of partitions.
    rng
        Seed or generator.
    """
    generator = np.random.default_rng(rng)
    sizes = np.bincount(groups)
    found: list[Split] = []
    for _ in range(repeats):
        order = generator.permutation(len(sizes))
        filled, of_group = np.zeros(folds), np.zeros(len(sizes), dtype=np.int64)
        for group in order[np.argsort(-sizes[order], kind="stable")]:
            of_group[group] = filled.argmin()
            filled[of_group[group]] += sizes[group]
        fold = of_group[groups]
        found.extend((np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(folds))
    return found


def check_folds(units: Units, folds: int) -> None:
    """Refuse categories too small for every fold to hold a unit, a prompt or a group, of each.

    Raises
    ------
    NotComputable
        If there is one category only, or one has fewer units than there are folds.
    """
    if len(units.names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    for name, number in zip(units.names, units.units_of_category.tolist(), strict=True):
        if number < folds:
            message = f"category {name!r} has fewer prompts or groups ({number}) than the {folds} folds"
            raise NotComputable(message)
