"""The permutation test of the classifier: its accuracy under permuted labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.classifier import foldable
from moexray.stats.categories.cross_validation import right_of_labelings, standardised
from moexray.stats.inference.cores import over_cores
from moexray.stats.inference.folds import unlabelled_splits
from moexray.stats.inference.permutation import p_value

# Sums of shares that are equal up to rounding are equal in these digits.
_DIGITS = 9


@dataclass(frozen=True)
class ClassifierTest:
    """Permutation p-values of an accuracy and of a balanced accuracy, and the smallest that these units can give."""

    p_value: float
    balanced_p_value: float
    least_p: float


def classifier_test(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = 4,
) -> ClassifierTest:
    """Compare the accuracy of `classify` with its accuracy on permuted labels.

    Labels are permuted over units: see `moexray.stats.inference.units`. The p-value is the share of labelings, the
    observed one among them, that are classified at least as accurately. The statistic is the accuracy over several
    partitions whose folds are drawn without regard to labels: observed and permuted labels are treated equally, and
    one set of features serves all labelings.

    Parameters
    ----------
    vectors, labels, folds, groups, seed
        See `classify`; the seed also draws the permutations.
    permutations
        Number of permutations.
    repeats
        Number of partitions into folds.

    Raises
    ------
    NotComputable
        If `classify` cannot be computed.
    """
    units = foldable(labels, groups, folds)
    rng = np.random.default_rng(seed)
    parts = unlabelled_splits(units.units, folds=folds, repeats=repeats, rng=rng)
    blocks = units.labelings(permutations, rng, first=True)
    labelings = np.concatenate([block[:, units.parts] for block in blocks]).astype(np.int64)
    categories, features = len(units.names), standardised(vectors)
    rights = over_cores(lambda split: right_of_labelings(features, labelings, split, categories), parts)
    accuracy, balanced = np.zeros((2, len(labelings)))
    sizes = np.stack([np.count_nonzero(labelings == category, axis=1) for category in range(categories)], axis=1)
    for (_, test), right in zip(parts, rights, strict=True):
        accuracy += right.sum(axis=1)
        balanced += (right / np.take_along_axis(sizes, labelings[:, test], axis=1)).sum(axis=1)
    balanced = np.round(balanced, _DIGITS)
    return ClassifierTest(
        p_value=p_value(float(accuracy[0]), accuracy[1:]),
        balanced_p_value=p_value(float(balanced[0]), balanced[1:]),
        least_p=units.least_p,
    )


def classifier_p_value(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = 4,
) -> float:
    """Return the permutation p-value of the accuracy: see `classifier_test`."""
    found = classifier_test(
        vectors, labels, permutations=permutations, folds=folds, groups=groups, seed=seed, repeats=repeats
    )
    return found.p_value
