"""Generalisation of the classifier to groups that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import REPEATS, Classification, classify, prompt_weights
from moexray.stats.inference.resampled import Share, gain_interval, share_interval
from moexray.stats.inference.units import Units, units_of


@dataclass(frozen=True)
class LeftOutGroups:
    """The classifier on groups that it was not trained on, beside the one whose folds take no notice of groups.

    Attributes
    ----------
    accuracy, balanced_accuracy
        Where a fold leaves out whole groups.
    ignoring_groups, balanced_ignoring_groups
        Where prompts of one group may be in training and in test; with intervals over groups, too.
    drop, drop_ci
        The accuracy that ignores groups minus the other, paired by prompt.
    groups, folds
        Number of groups, a prompt without one being its own, and of folds.
    """

    accuracy: Share
    balanced_accuracy: Share
    ignoring_groups: Share
    balanced_ignoring_groups: Share
    drop: float
    drop_ci: tuple[float, float] | None
    groups: int
    folds: int


def folds_of_groups(labels: Sequence[str], groups: Sequence[str] | None, *, most: int) -> int:
    """Return the number of folds that leave out groups: one for each group of the rarest category, `most` at most.

    Raises
    ------
    NotComputable
        If no two prompts share a group, or a category has one group only.
    """
    units = units_of(labels, groups)
    if units.design == "independent":
        message = "no two prompts share a group"
        raise NotComputable(message)
    if len(units.names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    rarest = int(units.units_of_category.argmin())
    folds = min(most, int(units.units_of_category[rarest]))
    if folds < 2:
        message = f"category {units.names[rarest]!r} has one group only: without it nothing is left to learn from"
        raise NotComputable(message)
    return folds


def leave_groups_out(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    groups: Sequence[str],
    *,
    folds: int,
    seed: int = 0,
    repeats: int = REPEATS,
) -> LeftOutGroups:
    """Classify prompts of groups that were left out, and prompts whose groups are in the training folds.

    Both cross-validations are stratified and have as many folds, so that they train on about as many prompts.

    Parameters
    ----------
    vectors, labels, groups, seed, repeats
        See `moexray.stats.classify`.
    folds
        See `folds_of_groups`.

    Raises
    ------
    NotComputable
        If a category has fewer groups than there are folds.
    """
    kept = classify(vectors, labels, folds=folds, groups=groups, seed=seed, repeats=repeats)
    return beside_ignoring(kept, classify(vectors, labels, folds=folds, seed=seed, repeats=repeats))


def beside_ignoring(kept: Classification, ignored: Classification) -> LeftOutGroups:
    """Compare a classification whose folds leave out groups with one of as many folds that takes no notice of them."""
    folds = kept.folds
    gains = ignored.right.astype(np.float64) - kept.right
    (accuracy, balanced), (naive, naive_balanced) = (_shares(one, kept.units) for one in (kept, ignored))
    return LeftOutGroups(
        accuracy=accuracy,
        balanced_accuracy=balanced,
        ignoring_groups=naive,
        balanced_ignoring_groups=naive_balanced,
        drop=float(gains.mean()),
        drop_ci=gain_interval(gains, kept.units, folds=folds),
        groups=len(kept.units),
        folds=folds,
    )


def _shares(found: Classification, units: Units) -> tuple[Share, Share]:
    equal, balanced = prompt_weights(units.categories)
    return (
        Share(found.accuracy, share_interval(found.right, equal, units, folds=found.folds)),
        Share(found.balanced_accuracy, share_interval(found.right, balanced, units, folds=found.folds)),
    )
