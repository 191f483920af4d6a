"""The classifier on words: how well a prompt's text alone predicts its category."""

from collections.abc import Sequence

import numpy as np

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import REPEATS, Classification, cross_validated
from moexray.stats.categories.cross_validation import Coordinates, along_axes
from moexray.stats.categories.words import WORD
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
    """Predict every prompt's category from its words, in the folds that `classify` makes of the same labels.

    Logistic regression (L2, C = 1) on TF-IDF weights, with vocabulary and document frequencies from the training
    folds. TF-IDF rows have unit length and are not standardised, which would give rare words the most weight.

    Parameters
    ----------
    texts
        The text of each prompt.
    labels, folds, groups, seed, repeats
        See `moexray.stats.classify`.

    Raises
    ------
    NotComputable
        As `moexray.stats.classify`, or if no text holds a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(WORD.search(text) for text in texts):
        message = "no prompt holds a word"
        raise NotComputable(message)
    every = np.asarray(texts, dtype=object)

    def features(split: Split) -> Coordinates:
        training, test = (every[rows] for rows in split)
        if not any(WORD.search(text) for text in training):
            return np.zeros((len(training), 1)), np.zeros((len(test), 1))
        words = TfidfVectorizer(token_pattern=WORD.pattern).fit(training)
        known, unseen = words.transform(training), words.transform(test)
        return along_axes((known @ known.T).toarray(), (unseen @ known.T).toarray())

    return cross_validated(features, labels, folds=folds, groups=groups, seed=seed, repeats=repeats)
