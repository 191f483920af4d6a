"""Cross-validation of logistic regressions: features are made inside each fold, and all folds are fitted at once."""

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.folds import Split, splits
from moexray.stats.inference.logistic import fit_logistic

# Coordinates of the training rows and of the test rows, along principal axes of the former.
Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]
# The features of a split; whatever they learn, they learn from its training rows.
Features = Callable[[Split], Coordinates]

_NEGLIGIBLE = 1e-12
# Numbers in the rows of the regressions that are fitted together: few enough to stay in a processor's cache.
_TOGETHER = 2**18


def predictions(
    features: Features, truths: Sequence[NDArray[np.int64]], parts: Sequence[Split], categories: int
) -> list[NDArray[np.int64]]:
    """Predict the category of every test row, from one regression for each split, all fitted at once.

    Parameters
    ----------
    features
        Makes the features of a split.
    truths
        For each split, the category numbers of all rows ``(prompts,)``.
    parts
        The splits.
    categories
        Number of categories.

    Returns
    -------
    For each split, the predicted category numbers of its test rows.
    """
    coordinates = [features(split) for split in parts]
    rows = _padded([training for training, _ in coordinates])
    test_rows = _padded([test for _, test in coordinates])
    training_truth = np.full(rows.shape[:2], -1)
    for of_split, truth, (training, _) in zip(training_truth, truths, parts, strict=True):
        of_split[: len(training)] = truth[training]
    weights = fit_logistic(rows, training_truth, categories)
    predicted = (test_rows @ weights[:, :-1] + weights[:, -1:]).argmax(axis=2)
    for number, of_split in enumerate(training_truth):
        if not rows[number].any():  # nothing varies: predict the most frequent category
            predicted[number] = np.bincount(of_split[of_split >= 0]).argmax()
    return [found[: len(test)] for found, (_, test) in zip(predicted, parts, strict=True)]


def accuracies_of_labelings(
    features: Features, labelings: Sequence[NDArray[np.int64]], groups: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.float64]:  # (labelings,)
    """Cross-validate every labeling, in blocks over all cores; folds are stratified anew for each labeling.

    Parameters
    ----------
    features
        Makes the features of a split.
    labelings
        Category numbers of all prompts, ``(prompts,)`` each.
    groups
        The group of each prompt, by number: see `moexray.stats.inference.labels.group_numbers`.
    folds, seed
        See `moexray.stats.inference.folds.splits`.
    """
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    prompts, categories = len(groups), int(labelings[0].max()) + 1
    together = max(1, _TOGETHER // (folds * prompts**2))

    def accuracies(chosen: Sequence[NDArray[np.int64]]) -> list[float]:
        parts = [list(splits(truth, groups, folds, seed)) for truth in chosen]
        truths = [truth for truth in chosen for _ in range(folds)]
        tests = [split for of_labeling in parts for split in of_labeling]
        predicted = predictions(features, truths, tests, categories)
        of_folds = [
            float(np.mean(truth[test] == found))
            for truth, (_, test), found in zip(truths, tests, predicted, strict=True)
        ]
        return [float(np.mean(of_folds[start : start + folds])) for start in range(0, len(of_folds), folds)]

    blocks = [labelings[start : start + together] for start in range(0, len(labelings), together)]
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(accuracies, blocks)))


def standardised(vectors: NDArray[np.float64]) -> Features:
    """Features of mean 0 and variance 1 over the training rows; one that does not vary stays as it is."""

    def of_split(split: Split) -> Coordinates:
        training, test = split
        learned = vectors[training]
        mean, spread = learned.mean(axis=0), learned.std(axis=0)
        varies = spread > len(training) * np.finfo(np.float64).eps * np.abs(mean)
        scaled = (vectors - mean) / np.where(varies, spread, 1)
        known, unseen = scaled[training], scaled[test]
        if known.shape[0] > known.shape[1]:
            axes = np.linalg.eigh(known.T @ known)[1]
            return known @ axes, unseen @ axes
        return along_axes(known @ known.T, unseen @ known.T)

    return of_split


def along_axes(training: NDArray[np.float64], test: NDArray[np.float64]) -> Coordinates:
    """Coordinates along the principal axes of the training rows, from inner products.

    An L2 penalty is invariant under rotation, and a direction orthogonal to every training row gets no weight: so
    predictions are those in the full dimensions, at a fraction of the time.

    Parameters
    ----------
    training, test
        Inner products of the training rows, and of the test rows, with the training rows.
    """
    squares, directions = np.linalg.eigh(training)
    kept = squares > _NEGLIGIBLE * max(squares.max(), 1)
    lengths = np.sqrt(np.where(kept, squares, 0))
    return directions * lengths, test @ (directions / np.where(kept, lengths, np.inf))


def _padded(matrices: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Stack matrices of unequal shape, padded with zeros."""
    rows, columns = (max(sizes) for sizes in zip(*(matrix.shape for matrix in matrices), strict=True))
    stacked = np.zeros((len(matrices), rows, columns))
    for place, matrix in zip(stacked, matrices, strict=True):
        place[: matrix.shape[0], : matrix.shape[1]] = matrix
    return stacked
