"""Controls for surface features: accuracy of words against routing, and similarities of words and length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import Classification
from moexray.stats.categories.words import word_similarities
from moexray.stats.inference.resampled import gain_interval
from moexray.stats.pairs.similarity import unit_rows

_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of one classifier minus that of another, over the same prompts, with its 95 % interval."""

    difference: float
    ci: tuple[float, float] | None


def paired_difference(first: Classification, second: Classification) -> PairedDifference:
    """Compare two classifiers prompt by prompt.

    Parameters
    ----------
    first, second
        Made of the same labels, folds, groups, seed and repeats.
    """
    gains = first.right.astype(np.float64) - second.right
    return PairedDifference(float(gains.mean()), gain_interval(gains, first.units, folds=first.folds))


def length_features(tokens: NDArray[np.integer]) -> NDArray[np.float64]:  # (prompts, 2)
    """Logarithm of each prompt's number of tokens, and its squared deviation, so that a middle length can predict."""
    logarithms = np.log(np.maximum(tokens, 1).astype(np.float64))
    return np.column_stack([logarithms, (logarithms - logarithms.mean()) ** 2])


def surface_similarities(
    vectors: NDArray[np.float64], texts: Sequence[str], tokens: NDArray[np.integer]
) -> list[NDArray[np.float64]]:  # (prompts, prompts) each
    """Compute similarities of prompts in words and length, to be held fixed in `moexray.stats.partial_effect`.

    They are: similarity of words by counts, and by TF-IDF; difference of log length; and the similarity of the
    signatures predicted from words and length, each from those of all other prompts. The last covers words that
    routers treat similarly without being equal, which overlap of words misses.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``.
    texts
        The prompts.
    tokens
        Number of tokens of each prompt.

    Raises
    ------
    NotComputable
        If there are fewer than three prompts, or none holds a word.
    """
    if len(texts) < 3:
        message = "it needs at least three prompts"
        raise NotComputable(message)
    counted, weighted = word_similarities(texts)
    length = length_features(tokens)[:, 0]
    apart = np.abs(length[:, None] - length[None])
    spread = length.std()
    near = np.exp(-((apart / spread) ** 2) / 2) if spread > 0 else np.ones_like(apart)
    predicted = unit_rows(predicted_without_itself(unit_rows(vectors), counted + near))
    return [counted, weighted, apart, predicted @ predicted.T]


def predicted_without_itself(
    values: NDArray[np.float64], kernel: NDArray[np.float64]
) -> NDArray[np.float64]:  # as values
    """Predict each row from all others by kernel ridge regression, with the penalty of least prediction error.

    Leave-one-out predictions need no refit: with H the matrix that maps values to fitted values, the prediction of row
    i is ((H y)_i − h_ii y_i) / (1 − h_ii) (G. Golub, M. Heath and G. Wahba, Technometrics 21, 1979).

    Parameters
    ----------
    values
        ``(rows, dimensions)``.
    kernel
        Kernel matrix of the rows ``(rows, rows)``, symmetric and positive semidefinite.
    """
    rows = len(values)
    centre = np.eye(rows) - 1 / rows
    roots, directions = np.linalg.eigh(centre @ kernel @ centre)
    roots = np.maximum(roots, 0)
    best, least = values, np.inf
    for penalty in _PENALTIES:
        fitted = (directions * (roots / (roots + penalty))) @ directions.T + 1 / rows
        own = np.diag(fitted)[:, None]
        predicted = (fitted @ values - own * values) / (1 - own)
        error = float(((predicted - values) ** 2).sum())
        if error < least:
            best, least = predicted, error
    return best
