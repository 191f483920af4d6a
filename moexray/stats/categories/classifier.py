"""A linear classifier that predicts a prompt's category from its signature, cross-validated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.cross_validation import Features, predictions, standardised
from moexray.stats.inference.folds import check_folds, repeated_splits
from moexray.stats.inference.resampled import share_interval
from moexray.stats.inference.units import Units, units_of

# Partitions into folds, whose accuracies differ by some per cent where prompts are few.
REPEATS = 10


@dataclass(frozen=True)
class Classification:
    """Predictions of cross-validation, repeated over several partitions into folds.

    Attributes
    ----------
    accuracy
        The share of predictions that are right, over all prompts and partitions.
    accuracy_ci
        Its 95 % interval, for other prompts and training on as many as in these folds: see
        `moexray.stats.inference.resampled`.
    accuracy_std
        The population standard deviation over `fold_accuracies`.
    fold_accuracies
        The accuracy of each fold, partition by partition.
    balanced_accuracy, balanced_accuracy_ci
        The mean over categories of the share of each category's prompts that are predicted correctly; and its 95 %
        interval. Without any information it is 1 / number of categories.
    chance
        The share of the most frequent category: the accuracy of always predicting it.
    labels
        Categories, in the order of the confusion matrix.
    confusion
        Predictions ``(true category, predicted category)``, over all partitions.
    right
        Whether each prompt was predicted correctly when it was in the test fold ``(partitions, prompts)``.
    units, folds
        The units of the prompts, and the number of folds of a partition.
    """

    accuracy: float
    accuracy_std: float
    accuracy_ci: tuple[float, float]
    fold_accuracies: tuple[float, ...]
    balanced_accuracy: float
    balanced_accuracy_ci: tuple[float, float]
    chance: float
    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]
    units: Units
    folds: int


def classify(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Classification:
    """Predict every prompt's category from a logistic regression fitted to the other folds.

    Features are standardised, the penalty is L2 with C = 1, folds are stratified by category, and everything is
    fitted inside the folds.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    folds
        Number of folds.
    groups
        The group of each prompt; an empty name is no group. Prompts of one group are never split between folds.
    seed
        Decides which prompts share a fold.
    repeats
        Number of partitions into folds.

    Raises
    ------
    NotComputable
        If there is one category only, or a category has fewer prompts, or groups, than there are folds.
    """
    return cross_validated(standardised(vectors), labels, folds=folds, groups=groups, seed=seed, repeats=repeats)


def cross_validated(
    features: Features,
    labels: Sequence[str],
    *,
    folds: int,
    groups: Sequence[str] | None,
    seed: int,
    repeats: int = REPEATS,
) -> Classification:
    """Classify prompts by any features: see `classify`."""
    units = foldable(labels, groups, folds)
    truth, categories = units.categories, len(units.names)
    parts = repeated_splits(truth, units.units, folds=folds, repeats=repeats, seed=seed)
    predicted = predictions(features, truth, parts, categories)
    right = np.zeros((repeats, len(truth)), dtype=bool)
    confusion = np.zeros((categories, categories), dtype=np.int64)
    accuracies = []
    for number, ((_, test), found) in enumerate(zip(parts, predicted, strict=True)):
        right[number // folds, test] = found == truth[test]
        np.add.at(confusion, (truth[test], found), 1)
        accuracies.append(float(np.mean(found == truth[test])))
    equal, balanced = prompt_weights(truth)
    return Classification(
        accuracy=float(right.mean()),
        accuracy_std=float(np.std(accuracies)),
        accuracy_ci=share_interval(right, equal, units, folds=folds),
        fold_accuracies=tuple(accuracies),
        balanced_accuracy=min(1.0, float((right @ balanced).mean())),
        balanced_accuracy_ci=share_interval(right, balanced, units, folds=folds),
        chance=float(np.bincount(truth).max() / len(truth)),
        labels=units.names,
        confusion=confusion,
        right=right,
        units=units,
        folds=folds,
    )


def foldable(labels: Sequence[str], groups: Sequence[str] | None, folds: int) -> Units:
    """Return the units of prompts that can be put into folds; NotComputable for those that cannot."""
    units = units_of(labels, groups)
    check_folds(units, folds)
    return units


def prompt_weights(truth: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (prompts,) each
    """Return the weights of prompts in an accuracy, and in a balanced one, where every category weighs the same."""
    sizes = np.bincount(truth)
    equal = np.full(len(truth), 1 / len(truth))
    return equal, 1 / (np.count_nonzero(sizes) * sizes[truth].astype(np.float64))
