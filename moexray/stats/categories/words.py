"""Words and runs of characters of texts: their counts, the similarity of texts by them, and near-duplicates."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

WORD = re.compile(r"\w+")
NEAR_DUPLICATE = 0.7
# Above this, comparing every two texts would take longer than the rest of an analysis.
MOST_PROMPTS = 5000


def word_counts(texts: Sequence[str]) -> Any:  # sparse (texts, words)
    """Count the words of each text.

    Raises
    ------
    NotComputable
        If no text holds a word.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(WORD.search(text) for text in texts):
        message = "no prompt holds a word"
        raise NotComputable(message)
    return CountVectorizer(token_pattern=WORD.pattern).fit_transform(texts)


def character_counts(texts: Sequence[str]) -> Any:  # sparse (texts, runs of characters)
    """Count the runs of two to four characters inside words, and at their ends, of each text.

    They tell parts of words, and what a text without spaces holds, which is one word for `word_counts`.

    Raises
    ------
    NotComputable
        If every text is empty.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(text.strip() for text in texts):
        message = "no prompt holds a character"
        raise NotComputable(message)
    return CountVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit_transform(texts)


def word_similarities(texts: Sequence[str]) -> list[NDArray[np.float64]]:  # (prompts, prompts) each
    """Cosine similarity of every two texts, by word counts and by TF-IDF weights.

    Counts give common words their full weight, as routers do; TF-IDF gives more to words that distinguish texts. A
    text without a word has similarity 0 to every other.

    Raises
    ------
    NotComputable
        If no text holds a word.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    counts = word_counts(texts)
    rows = normalize(counts.astype(np.float64)), TfidfTransformer().fit_transform(counts)
    return [np.asarray((row @ row.T).todense()) for row in rows]


def character_similarities(texts: Sequence[str]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Cosine similarity of every two texts, by TF-IDF weights of 1 + log of the counts of runs of characters.

    Raises
    ------
    NotComputable
        If every text is empty.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    rows = TfidfTransformer(sublinear_tf=True).fit_transform(character_counts(texts))
    return np.asarray((rows @ rows.T).todense())


def near_duplicates(texts: Sequence[str], *, least: float = NEAR_DUPLICATE) -> list[tuple[int, int, float]]:
    """Find pairs of texts with nearly the same words and pairs of neighbouring words.

    Parameters
    ----------
    texts
        The text of each prompt.
    least
        The smallest Jaccard index that is reported.

    Returns
    -------
    The numbers of the two prompts, and the Jaccard index of their sets of words and word pairs, the most similar
    first.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(WORD.search(text) for text in texts):
        return []
    held = CountVectorizer(token_pattern=WORD.pattern, ngram_range=(1, 2), binary=True).fit_transform(texts)
    shared = (held.astype(np.int64) @ held.T).tocoo()
    sizes = np.asarray(held.sum(axis=1)).ravel()
    union = sizes[shared.row] + sizes[shared.col] - shared.data
    jaccard = shared.data / union
    chosen = (shared.row < shared.col) & (jaccard >= least)
    found = zip(shared.row[chosen].tolist(), shared.col[chosen].tolist(), jaccard[chosen].tolist(), strict=True)
    return sorted(found, key=lambda pair: (-pair[2], pair[:2]))
