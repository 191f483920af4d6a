"""A linear classifier that tells a prompt's category from its signature alone, if it can."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.words import WORD
from moexray.stats.inference.folds import Split, check_folds, splits
from moexray.stats.inference.labels import exchange_units, group_numbers, numbered_categories
from moexray.stats.inference.logistic import fit_logistic

# Coordinates of the rows to learn from and of the rows to predict, along principal axes of the former.
Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]
Features = Callable[[Split], Coordinates]

_NEGLIGIBLE = 1e-12
# Numbers in the rows of the regressions that are fitted together: few enough to stay in a processor's cache.
_TOGETHER = 2**18


@dataclass(frozen=True)
class Classification:
    """Cross-validated predictions.

    Attributes
    ----------
    accuracy, accuracy_std
        Mean over folds, and the population standard deviation over them.
    accuracy_ci
        95 % interval of the share of prompts that are named rightly (E. Wilson, J. Am. Stat. Assoc. 22, 1927).
        It takes predictions as independent of each other, and says what to expect of other prompts
        classified after training on as many as in these folds.
    fold_accuracies
        The accuracy of each fold.
    chance
        The share of the most frequent category: what always naming it would reach.
    labels
        Categories, in the order of the confusion matrix.
    confusion
        Prompts ``(true category, predicted category)``.
    right
        Whether each prompt was named rightly when it was left out ``(prompts,)``.
    """

    accuracy: float
    accuracy_std: float
    accuracy_ci: tuple[float, float]
    fold_accuracies: tuple[float, ...]
    chance: float
    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]


def classify(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Classification:
    """Predict every prompt's category from a logistic regression fitted to the other folds.

    Features are standardised, the penalty is the usual one (L2, C = 1), folds are stratified,
    and everything is fitted inside the folds.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``.
    labels
        The category of each.
    groups
        Prompts of one group are never split over folds; an empty name is no group.
    seed
        Decides which prompts share a fold.

    Raises
    ------
    NotComputable
        If there is one category only, or a category has fewer prompts, or groups, than there are folds.
    """
    return _cross_validated(_standardised(vectors), labels, folds, groups, seed)


def classify_words(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Classification:
    """Predict every prompt's category from its words alone, in the folds that `classify` makes of the same labels.

    Logistic regression (L2, C = 1) on the TF-IDF of words, vocabulary and frequencies taken from the training
    folds. TF-IDF rows have unit length and are not standardised, which would make rare words the loudest.

    Raises
    ------
    NotComputable
        As `classify`, or if no text holds a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(WORD.search(text) for text in texts):
        message = "no prompt holds a word"
        raise NotComputable(message)
    every = np.asarray(texts, dtype=object)

    def weighted(split: Split) -> Coordinates:
        training, test = (every[rows] for rows in split)
        if not any(WORD.search(text) for text in training):
            return np.zeros((len(training), 1)), np.zeros((len(test), 1))
        words = TfidfVectorizer(token_pattern=WORD.pattern).fit(training)
        known, unseen = words.transform(training), words.transform(test)
        return _along_axes((known @ known.T).toarray(), (unseen @ known.T).toarray())

    return _cross_validated(weighted, labels, folds, groups, seed)


def classifier_p_value(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> float:
    """Share of shuffled labelings that are classified at least as well, the observed one among them.

    Every shuffle goes through the whole of `classify`, its folds stratified anew, so that observed and
    shuffled labels are treated alike. Labels are shuffled over groups where there are some.

    Raises
    ------
    NotComputable
        If `classify` cannot be computed, or a group holds more than one category.
    """
    _, truth, whole = _task(labels, folds, groups)
    of_group = exchange_units(labels, groups)[1]
    rng = np.random.default_rng(seed)
    labelings = [truth, *(rng.permutation(of_group)[whole] for _ in range(permutations))]
    accuracies = _accuracies(_standardised(vectors), labelings, whole, folds, seed)
    reached = np.count_nonzero(accuracies[1:] >= accuracies[0] - _NEGLIGIBLE)
    return float(1 + reached) / (1 + permutations)


def _cross_validated(
    features: Features, labels: Sequence[str], folds: int, groups: Sequence[str] | None, seed: int
) -> Classification:
    from threadpoolctl import threadpool_limits

    names, truth, whole = _task(labels, folds, groups)
    parts = list(splits(truth, whole, folds, seed))
    with threadpool_limits(1):
        predicted = _predict(features, [truth] * len(parts), parts, len(names))
    right = np.zeros(len(truth), dtype=bool)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    for (_, test), named in zip(parts, predicted, strict=True):
        right[test] = named == truth[test]
        np.add.at(confusion, (truth[test], named), 1)
    accuracies = [float(np.mean(right[test])) for _, test in parts]
    return Classification(
        accuracy=float(np.mean(accuracies)),
        accuracy_std=float(np.std(accuracies)),
        accuracy_ci=_wilson_interval(int(np.count_nonzero(right)), len(truth)),
        fold_accuracies=tuple(accuracies),
        chance=float(np.bincount(truth).max() / len(truth)),
        labels=tuple(names),
        confusion=confusion,
        right=right,
    )


def _task(
    labels: Sequence[str], folds: int, groups: Sequence[str] | None
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the categories, and the number of each prompt's category and group, once they can be put into folds."""
    names, truth = numbered_categories(labels)
    whole = group_numbers(len(labels), groups)
    check_folds(names, truth, whole, folds)
    return names, truth, whole


def _accuracies(
    features: Features, labelings: Sequence[NDArray[np.int64]], whole: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.float64]:  # (labelings,)
    """Cross-validate every labeling; the cores share them, each with its own matrix products."""
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    prompts, categories = len(whole), int(labelings[0].max()) + 1
    together = max(1, _TOGETHER // (folds * prompts**2))

    def accuracies(chosen: Sequence[NDArray[np.int64]]) -> list[float]:
        parts = [list(splits(truth, whole, folds, seed)) for truth in chosen]
        truths = [truth for truth in chosen for _ in range(folds)]
        tests = [split for of_labeling in parts for split in of_labeling]
        predicted = _predict(features, truths, tests, categories)
        right = [
            float(np.mean(truth[test] == named))
            for truth, (_, test), named in zip(truths, tests, predicted, strict=True)
        ]
        return [float(np.mean(right[start : start + folds])) for start in range(0, len(right), folds)]

    blocks = [labelings[start : start + together] for start in range(0, len(labelings), together)]
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(accuracies, blocks)))


def _predict(
    features: Features, truths: Sequence[NDArray[np.int64]], parts: Sequence[Split], categories: int
) -> list[NDArray[np.int64]]:
    """Fit one regression to each split, all at once, and name the category of every row that was left out."""
    coordinates = [features(split) for split in parts]
    rows = _filled_up([known for known, _ in coordinates])
    unseen = _filled_up([unknown for _, unknown in coordinates])
    known_truth = np.full(rows.shape[:2], -1)
    for marks, truth, (training, _) in zip(known_truth, truths, parts, strict=True):
        marks[: len(training)] = truth[training]
    weights = fit_logistic(rows, known_truth, categories)
    named = (unseen @ weights[:, :-1] + weights[:, -1:]).argmax(axis=2)
    for number, marks in enumerate(known_truth):
        if not rows[number].any():  # nothing varies: name the most frequent category
            named[number] = np.bincount(marks[marks >= 0]).argmax()
    return [found[: len(test)] for found, (_, test) in zip(named, parts, strict=True)]


def _standardised(vectors: NDArray[np.float64]) -> Features:
    """Features of mean 0 and variance 1 over the rows to learn from, one that does not vary left as it is."""

    def standardised(split: Split) -> Coordinates:
        training, test = split
        learned = vectors[training]
        mean, spread = learned.mean(axis=0), learned.std(axis=0)
        varies = spread > len(training) * np.finfo(np.float64).eps * np.abs(mean)
        scaled = (vectors - mean) / np.where(varies, spread, 1)
        known, unseen = scaled[training], scaled[test]
        if known.shape[0] > known.shape[1]:
            axes = np.linalg.eigh(known.T @ known)[1]
            return known @ axes, unseen @ axes
        return _along_axes(known @ known.T, unseen @ known.T)

    return standardised


def _along_axes(products: NDArray[np.float64], with_unseen: NDArray[np.float64]) -> Coordinates:
    """Coordinates along the principal axes of the rows to learn from, from their products with each other.

    An L2 penalty does not see a rotation, and what is orthogonal to every row gets no weight: so predictions
    are those of the full dimensions, at a fraction of the time.
    """
    squares, directions = np.linalg.eigh(products)
    kept = squares > _NEGLIGIBLE * max(squares.max(), 1)
    lengths = np.sqrt(np.where(kept, squares, 0))
    return directions * lengths, with_unseen @ (directions / np.where(kept, lengths, np.inf))


def _filled_up(matrices: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Stack matrices of unequal shape, with zeros beyond each."""
    rows, columns = (max(sizes) for sizes in zip(*(matrix.shape for matrix in matrices), strict=True))
    stacked = np.zeros((len(matrices), rows, columns))
    for place, matrix in zip(stacked, matrices, strict=True):
        place[: matrix.shape[0], : matrix.shape[1]] = matrix
    return stacked


def _wilson_interval(right: int, prompts: int) -> tuple[float, float]:
    from scipy.special import ndtri

    z = float(ndtri(0.975))
    share, shrunk = right / prompts, 1 + z**2 / prompts
    half = z * np.sqrt(share * (1 - share) / prompts + z**2 / (4 * prompts**2)) / shrunk
    centre = (share + z**2 / (2 * prompts)) / shrunk
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
