"""The classifier trained on all prompts of one sample and tested on another, and how similar the two are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import prompt_weights
from moexray.stats.categories.cross_validation import predictions, standardised
from moexray.stats.inference.labels import numbered_categories
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.resampled import Share, gain_interval, share_interval
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.similarity import unit_rows

# Signatures (prompts, dimensions), and the category of each prompt.
Sample = tuple[NDArray[np.float64], Sequence[str]]
# Sums of shares that are equal up to rounding are equal in these digits.
_DIGITS = 9


@dataclass(frozen=True)
class OtherPrompts:
    """Predictions of the categories of some prompts by a classifier that was trained on others.

    Attributes
    ----------
    accuracy, balanced_accuracy
        Shares of right predictions, with 95 % intervals over the units of the test.
    chance
        The best accuracy of naming one category always.
    p_value, balanced_p_value
        Of the test's labels, permuted over its units; None where all of them have one category.
    least_p
        The smallest p-value that these units can give.
    labels
        Categories, in the order of the confusion matrix.
    confusion
        Prompts of the test ``(true category, predicted category)``.
    right
        Whether each prompt was predicted correctly ``(prompts,)``.
    """

    accuracy: Share
    balanced_accuracy: Share
    chance: float
    p_value: float | None
    balanced_p_value: float | None
    least_p: float
    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]


def classify_others(
    training: Sample,
    test: Sample,
    *,
    permutations: int,
    groups: Sequence[str] | None = None,
    rng: int | np.random.Generator = 0,
) -> OtherPrompts:
    """Train the classifier of `moexray.stats.classify` on all prompts of one sample, and test it on another.

    Intervals are of this one classifier, for other prompts or groups like those of the test. The p-value is the share
    of permutations of the test's labels, the observed ones among them, that fit the predictions at least as well.

    Parameters
    ----------
    training, test
        Signatures ``(prompts, dimensions)``, and the category of each prompt.
    permutations
        Number of permutations.
    groups
        The group of each prompt of the test; an empty name is no group.
    rng
        Seed or generator.

    Raises
    ------
    NotComputable
        If the training prompts have one category only, or lack one of the test.
    """
    (known, labels), (unseen, test_labels) = training, test
    names, truth = numbered_categories(labels)
    units = units_of(test_labels, groups)
    lacking = sorted(set(units.names) - set(names))
    if len(names) < 2 or lacking:
        message = (
            f"there is no prompt of category {lacking[0]!r} to train on" if lacking else "there is one category only"
        )
        raise NotComputable(message)
    split = np.arange(len(known)), len(known) + np.arange(len(unseen))
    numbers = np.array([names.index(name) for name in units.names])
    both = np.concatenate([truth, numbers[units.categories]])
    (found,) = predictions(standardised(np.concatenate([known, unseen])), both, [split], len(names))
    right = found == both[split[1]]
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (both[split[1]], found), 1)
    equal, balanced = (
        Share(min(1.0, float((right * weights).sum())), share_interval(right[None], weights, units, folds=None))
        for weights in prompt_weights(units.categories)
    )
    p_values: tuple[float, float] | tuple[None, None] = (None, None)
    if len(units.names) > 1:
        p_values = _p_values(numbers, found, units, permutations=permutations, rng=rng)
    return OtherPrompts(
        accuracy=equal,
        balanced_accuracy=balanced,
        chance=float(np.bincount(units.categories).max() / len(right)),
        p_value=p_values[0],
        balanced_p_value=p_values[1],
        least_p=units.least_p,
        labels=tuple(names),
        confusion=confusion,
        right=right,
    )


def _p_values(
    numbers: NDArray[np.int64],
    found: NDArray[np.int64],
    units: Units,
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> tuple[float, float]:
    """Permute the test's labels, and return p of the accuracy and of the balanced accuracy of fixed predictions."""
    hits, balanced = [], []
    for block in units.labelings(permutations, rng, first=True):
        labelings = block[:, units.parts]
        right = numbers[labelings] == found
        of_category = [labelings == category for category in range(len(units.names))]
        shares = [(right & there).sum(axis=1) / there.sum(axis=1) for there in of_category]
        hits.append(right.sum(axis=1))
        balanced.append(np.round(np.sum(shares, axis=0), _DIGITS))
    of_accuracy, of_balanced = np.concatenate(hits), np.concatenate(balanced)
    return p_value(float(of_accuracy[0]), of_accuracy[1:]), p_value(float(of_balanced[0]), of_balanced[1:])


@dataclass(frozen=True)
class SimilarityToTraining:
    """Mean similarity of the test's prompts to training prompts of their own category, and of other categories.

    Attributes
    ----------
    own, others
        Over prompts; other categories weigh the same.
    difference, ci
        Own minus others, and its 95 % interval over units of the test.
    """

    own: float
    others: float
    difference: float
    ci: tuple[float, float] | None


def similarity_to_training(
    training: Sample,
    test: Sample,
    *,
    groups: Sequence[str] | None = None,
) -> SimilarityToTraining:
    """Compare prompts of a test with training prompts of their own category, and of all others.

    The parameters are those of `classify_others`.
    """
    (known, labels), (unseen, test_labels) = training, test
    names, truth = numbered_categories(labels)
    units = units_of(test_labels, groups)
    rows = unit_rows(known)
    means = np.stack([rows[truth == category].mean(axis=0) for category in range(len(names))])
    similar = unit_rows(unseen) @ means.T
    of_own = np.array([names.index(name) for name in test_labels])
    own = similar[np.arange(len(similar)), of_own]
    others = (similar.sum(axis=1) - own) / (len(names) - 1)
    return SimilarityToTraining(
        own=float(own.mean()),
        others=float(others.mean()),
        difference=float((own - others).mean()),
        ci=gain_interval((own - others)[None], units, folds=None),
    )
