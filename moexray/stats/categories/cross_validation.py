"""Cross-validation of logistic regressions: features are made inside each fold, and all folds are fitted at once."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.cores import over_cores
from moexray.stats.inference.folds import Split
from moexray.stats.inference.logistic import fit_logistic

# Coordinates of the training rows and of the test rows, along principal axes of the former.
Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]
# The features of a split; whatever they learn, they learn from its training rows.
Features = Callable[[Split], Coordinates]

_NEGLIGIBLE = 1e-12
# Numbers in the rows of the regressions that are fitted together: few enough to stay in a processor's cache.
_TOGETHER, _MOST_TOGETHER = 2**18, 50
# Labelings whose regressions are fitted together.
_SHARED = 100
# Fits this close to their minimum name the same categories, but for one prompt in a thousand under permuted labels,
# where every labeling is fitted alike.
_ENOUGH, _ENOUGH_PERMUTED = 1e-5, 1e-3


def predictions(
    features: Features, truth: NDArray[np.int64], parts: Sequence[Split], categories: int
) -> list[NDArray[np.int64]]:
    """Predict the category of every test row, from one regression for each split, fitted in blocks over all cores.

    Parameters
    ----------
    features
        Makes the features of a split.
    truth
        The category numbers of all rows ``(prompts,)``.
    parts
        The splits.
    categories
        Number of categories.

    Returns
    -------
    For each split, the predicted category numbers of its test rows.
    """
    together = max(1, min(_MOST_TOGETHER, _TOGETHER // len(truth) ** 2))
    blocks = [parts[start : start + together] for start in range(0, len(parts), together)]
    found = over_cores(lambda some: _predictions(features, truth, some, categories), blocks)
    return [predicted for of_block in found for predicted in of_block]


def _predictions(
    features: Features, truth: NDArray[np.int64], parts: Sequence[Split], categories: int
) -> list[NDArray[np.int64]]:
    coordinates = [features(split) for split in parts]
    rows = _padded([training for training, _ in coordinates])
    test_rows = _padded([test for _, test in coordinates])
    training_truth = np.full(rows.shape[:2], -1)
    for of_split, (training, _) in zip(training_truth, parts, strict=True):
        of_split[: len(training)] = truth[training]
    weights = fit_logistic(rows, training_truth, categories, tolerance=_ENOUGH)
    predicted = (test_rows @ weights[:, :-1] + weights[:, -1:]).argmax(axis=2)
    for number, of_split in enumerate(training_truth):
        if not rows[number].any():  # nothing varies: predict the most frequent category
            predicted[number] = np.bincount(of_split[of_split >= 0]).argmax()
    return [found[: len(test)] for found, (_, test) in zip(predicted, parts, strict=True)]


def right_of_labelings(
    features: Features, labelings: NDArray[np.int64], split: Split, categories: int
) -> NDArray[np.bool_]:  # (labelings, test rows)
    """Predict the test rows of one split under many labelings of all rows, and return which predictions are right.

    Features know nothing of labels, so one set of rows serves all labelings: see `fit_logistic`.

    Parameters
    ----------
    features
        Makes the features of the split.
    labelings
        Category numbers ``(labelings, prompts)``.
    split
        Training and test rows.
    categories
        Number of categories.
    """
    training, test = split
    rows, test_rows = (of_either.astype(np.float32) for of_either in features(split))  # enough for _ENOUGH_PERMUTED
    if not rows.any():  # nothing varies: predict the most frequent category
        frequent = [np.bincount(one[training]).argmax() for one in labelings]
        return np.asarray(labelings[:, test] == np.array(frequent)[:, None])
    right = np.empty((len(labelings), len(test)), dtype=bool)
    for start in range(0, len(labelings), _SHARED):
        some = labelings[start : start + _SHARED]
        weights = fit_logistic(rows, some[:, training], categories, tolerance=_ENOUGH_PERMUTED)
        predicted = (test_rows @ weights[:, :-1] + weights[:, -1:]).argmax(axis=2)
        right[start : start + _SHARED] = predicted == some[:, test]
    return right


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
