"""A linear classifier that tells a prompt's category from its signature alone, if it can."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from moexray.errors import NotComputable
from moexray.stats.words import WORD

# From training rows, their categories and the rows to predict, all by number, to the categories predicted.
Predict = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]

_NEGLIGIBLE = 1e-12
# scikit-learn's own 1e-4 stops short of the optimum, at a place that depends on the coordinates.
_TOLERANCE = 1e-6
# The matrices are small: more threads spend their time waiting for each other, three times as much in all.
_THREADS = 1


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

    Features are standardised, the penalty is scikit-learn's default (L2, C = 1), folds are stratified,
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
    with threadpool_limits(_THREADS):
        return _cross_validate(_by_vectors(vectors), labels, folds, _group_numbers(len(labels), groups), seed)


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
    if not any(WORD.search(text) for text in texts):
        message = "no prompt holds a word"
        raise NotComputable(message)
    every = np.asarray(texts, dtype=object)

    def predict(training: NDArray[np.int64], truth: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
        if not any(WORD.search(text) for text in every[training]):
            return np.full(len(test), np.bincount(truth).argmax())
        model = make_pipeline(TfidfVectorizer(token_pattern=WORD.pattern), LogisticRegression(max_iter=10_000))
        return np.asarray(model.fit(every[training], truth).predict(every[test]), dtype=np.int64)

    with threadpool_limits(_THREADS):
        return _cross_validate(predict, labels, folds, _group_numbers(len(labels), groups), seed)


def _by_vectors(vectors: NDArray[np.float64]) -> Predict:
    return lambda training, truth, test: _predict(vectors[training], truth, vectors[test])


def _cross_validate(
    predict: Predict, labels: Sequence[str], folds: int, whole: NDArray[np.int64], seed: int
) -> Classification:
    names, truth = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    _check(names, truth, whole, folds)
    predicted = np.full(len(truth), -1)
    accuracies = []
    for training, test in _folds(truth, whole, folds, seed):
        known = truth[training]
        # Groups may leave one category to learn from: then there is nothing to fit.
        predicted[test] = predict(training, known, test) if np.ptp(known) else known[0]
        accuracies.append(float(np.mean(predicted[test] == truth[test])))
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    return Classification(
        accuracy=float(np.mean(accuracies)),
        accuracy_std=float(np.std(accuracies)),
        accuracy_ci=_wilson_interval(int(np.count_nonzero(predicted == truth)), len(truth)),
        fold_accuracies=tuple(accuracies),
        chance=float(np.bincount(truth).max() / len(truth)),
        labels=tuple(names),
        confusion=confusion,
        right=predicted == truth,
    )


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
    whole = _group_numbers(len(labels), groups)
    of_group = _labels_of_groups(labels, whole)
    rng = np.random.default_rng(seed)
    reached = 0
    predict = _by_vectors(vectors)
    with threadpool_limits(_THREADS):
        observed = _cross_validate(predict, labels, folds, whole, seed).accuracy
        for _ in range(permutations):
            shuffled = list(rng.permutation(of_group)[whole])
            reached += _cross_validate(predict, shuffled, folds, whole, seed).accuracy >= observed - _NEGLIGIBLE
    return (1 + reached) / (1 + permutations)


def _labels_of_groups(labels: Sequence[str], whole: NDArray[np.int64]) -> NDArray[np.object_]:
    every = np.asarray(labels, dtype=object)
    of_group: NDArray[np.object_] = every[np.unique(whole, return_index=True)[1]]
    if (of_group[whole] != every).any():
        message = "a group holds prompts of several categories, so its label cannot be shuffled as one"
        raise NotComputable(message)
    return of_group


def _predict(
    training: NDArray[np.float64], truth: NDArray[np.int64], test: NDArray[np.float64]
) -> NDArray[np.int64]:  # (test rows,)
    """Fit and predict in coordinates of the training rows' own span, at most as many as there are rows.

    An L2 penalty does not see a rotation, and what is orthogonal to every training row gets no
    weight: so the predictions are those of the full dimensions, at a fraction of the time.
    """
    scaler = StandardScaler().fit(training)
    rows, unseen = scaler.transform(training), scaler.transform(test)
    squares, directions = np.linalg.eigh(rows @ rows.T)
    kept = squares > _NEGLIGIBLE * max(squares.max(), _NEGLIGIBLE)
    if not kept.any() or squares.max() <= _NEGLIGIBLE:  # nothing varies: name the most frequent category
        return np.full(len(test), np.bincount(truth).argmax())
    lengths = np.sqrt(squares[kept])
    model = LogisticRegression(solver="newton-cg", tol=_TOLERANCE, max_iter=10_000).fit(
        directions[:, kept] * lengths, truth
    )
    return np.asarray(model.predict(unseen @ (rows.T @ directions[:, kept] / lengths)), dtype=np.int64)


def _wilson_interval(right: int, prompts: int) -> tuple[float, float]:
    z = float(ndtri(0.975))
    share, shrunk = right / prompts, 1 + z**2 / prompts
    half = z * np.sqrt(share * (1 - share) / prompts + z**2 / (4 * prompts**2)) / shrunk
    centre = (share + z**2 / (2 * prompts)) / shrunk
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _folds(
    truth: NDArray[np.int64], whole: NDArray[np.int64], folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    rows = np.zeros(len(truth))
    if len(np.unique(whole)) < len(whole):
        yield from StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, truth, whole)
    else:
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, truth)


def _group_numbers(prompts: int, groups: Sequence[str] | None) -> NDArray[np.int64]:
    """Return each prompt's group as a number; a prompt without one is its own."""
    names = [("", i) if not group else (group, -1) for i, group in enumerate(groups or [""] * prompts)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _check(names: NDArray[np.object_], truth: NDArray[np.int64], whole: NDArray[np.int64], folds: int) -> None:
    if len(names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    for number, name in enumerate(names):
        units = len(np.unique(whole[truth == number]))
        if units < folds:
            message = f"category {name!r} has {units} prompts or groups, fewer than the {folds} folds"
            raise NotComputable(message)
