"""Classifiers on bags: how well a text's words, its characters or its token ids alone predict its category."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.classifier import REPEATS, Classification, cross_validated
from moexray.stats.categories.cross_validation import Coordinates, along_axes
from moexray.stats.categories.words import character_counts, word_counts
from moexray.stats.inference.folds import Split


def classify_words(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Classification:
    """Predict every prompt's category from its words: see `classify_bags`.

    Raises
    ------
    NotComputable
        As `moexray.stats.classify`, or if no text holds a word.
    """
    return classify_bags(word_counts(texts), labels, folds=folds, groups=groups, seed=seed, repeats=repeats)


def classify_characters(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Classification:
    """Predict every prompt's category from its runs of two to four characters, with 1 + log of their counts.

    Raises
    ------
    NotComputable
        As `moexray.stats.classify`, or if every text is empty.
    """
    counts = character_counts(texts).astype(np.float64)
    counts.data = 1 + np.log(counts.data)
    return classify_bags(counts, labels, folds=folds, groups=groups, seed=seed, repeats=repeats)


def classify_token_ids(
    token_ids: NDArray[np.integer],
    prompts: NDArray[np.integer],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Classification:
    """Predict every prompt's category from its token ids, as from words.

    Parameters
    ----------
    token_ids, prompts
        The id of each token, and the place of its prompt among `labels` ``(tokens,)``.
    labels, folds, groups, seed, repeats
        See `moexray.stats.classify`.
    """
    from scipy.sparse import csr_array

    columns = np.unique(token_ids, return_inverse=True)[1]
    shape = len(labels), int(columns.max(initial=0)) + 1
    counts = csr_array((np.ones(len(columns)), (prompts, columns)), shape=shape)
    counts.sum_duplicates()
    return classify_bags(counts, labels, folds=folds, groups=groups, seed=seed, repeats=repeats)


def classify_bags(
    counts: Any,
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Classification:
    """Predict every prompt's category from a bag of terms, in the folds that `classify` makes of the same labels.

    Logistic regression (L2, C = 1) on TF-IDF weights, with terms and document frequencies from the training folds.
    TF-IDF rows have unit length and are not standardised, which would give rare terms the most weight.

    Parameters
    ----------
    counts
        How often, or with which weight, each prompt holds each term: sparse ``(prompts, terms)``.
    labels, folds, groups, seed, repeats
        See `moexray.stats.classify`.

    Raises
    ------
    NotComputable
        As `moexray.stats.classify`.
    """
    from scipy.sparse import csr_array

    held = csr_array(counts, dtype=np.float64)
    marks = held.copy()
    marks.data[:] = 1
    terms = marks.T.tocsr()

    def features(split: Split) -> Coordinates:
        training, test = split
        known = np.zeros(len(labels))
        known[training] = 1
        frequencies = terms @ known
        # A term that no training prompt holds is unknown. The weights are those of scikit-learn's TfidfTransformer.
        weights = np.where(frequencies > 0, np.log((1 + len(training)) / (1 + frequencies)) + 1, 0)
        weighted = csr_array((held.data * weights[held.indices], held.indices, held.indptr), shape=held.shape)
        products = (weighted @ weighted.T).toarray()
        lengths = np.sqrt(np.maximum(np.diag(products), 1e-300))
        products /= np.multiply.outer(lengths, lengths)
        return along_axes(products[np.ix_(training, training)], products[np.ix_(test, training)])

    return cross_validated(features, labels, folds=folds, groups=groups, seed=seed, repeats=repeats)
