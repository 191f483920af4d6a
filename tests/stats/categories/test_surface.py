"""Words and length alone: the same folds, the same prompts, and no leak from a prompt to its own prediction."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from moexray.errors import NotComputable
from moexray.prompts import bundled_prompts
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.surface import length_features, paired_difference, predicted_without_itself
from moexray.stats.categories.word_classifier import classify_words
from moexray.stats.categories.words import near_duplicates, word_similarities

LABELS = ["code", "story"] * 10
TEXTS = [
    f"{'write a function that returns' if i % 2 == 0 else 'tell me about a fox who'} {word} {word}{i}"
    for i, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] * 2)
]


def test_words_are_classified_as_scikit_learn_does_end_to_end() -> None:
    texts = [text if i % 3 else "the same for all" for i, text in enumerate(TEXTS)]
    model = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), LogisticRegression(max_iter=10_000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    expected = cross_val_score(model, texts, LABELS, cv=folds)
    found = classify_words(texts, LABELS, repeats=1)
    assert found.fold_accuracies == pytest.approx(expected)
    assert 0.5 < found.accuracy < 1


def test_texts_without_words_cannot_be_classified_by_words() -> None:
    with pytest.raises(NotComputable, match="no prompt holds a word"):
        classify_words(["…"] * 20, LABELS)


def test_length_tells_categories_apart_only_where_lengths_differ() -> None:
    rng = np.random.default_rng(0)
    same, different = rng.integers(15, 60, size=20), rng.integers(15, 20, size=20) * np.tile([1, 3], 10)
    assert classify(length_features(different), LABELS).accuracy == 1
    assert classify(length_features(same), LABELS).accuracy < 0.8


def test_a_middle_length_can_mark_a_category_too() -> None:
    lengths = np.array([30 if i % 2 else (10 if i % 4 else 90) for i in range(20)])
    assert classify(length_features(lengths), LABELS).accuracy == 1


def test_the_difference_is_paired_prompt_by_prompt() -> None:
    vectors = np.random.default_rng(1).random((20, 4)) + 0.5 * np.eye(4)[np.tile([0, 1], 10)]
    first, second = classify(vectors, LABELS), classify_words(TEXTS, LABELS)
    found = paired_difference(first, second)
    assert found.difference == pytest.approx(np.mean(first.right) - np.mean(second.right))
    same = paired_difference(first, first)
    assert (same.difference, same.ci) == (0, None)  # nothing says how far another sample would be from it


def test_a_row_is_predicted_as_if_it_had_never_been_there() -> None:
    """Scikit-learn's kernel ridge on the other rows, their mean taken off, says the same."""
    rng = np.random.default_rng(2)
    points = rng.random((12, 3))
    kernel, values = points @ points.T, rng.random((12, 2)) + points[:, :2]
    found = predicted_without_itself(values, kernel)
    expected = []
    for penalty in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0):
        rows = []
        for i in range(12):
            others = np.delete(np.arange(12), i)
            centred = points - points[others].mean(axis=0)
            mean = values[others].mean(axis=0)
            ridge = KernelRidge(alpha=penalty).fit(centred[others], values[others] - mean)
            rows.append(ridge.predict(centred[[i]])[0] + mean)
        expected.append(np.array(rows))
    best = min(expected, key=lambda rows: ((rows - values) ** 2).sum())
    np.testing.assert_allclose(found, best, atol=1e-9)


def test_similarity_of_words_is_one_for_the_same_words_and_none_for_others() -> None:
    counted, weighted = word_similarities(["a fox, a hen", "A hen A fox", "stone bridge"])
    for matrix in (counted, weighted):
        assert matrix[0, 1] == pytest.approx(1)
        assert matrix[0, 2] == matrix[1, 2] == 0
    assert counted[0, 1] == pytest.approx(1)


def test_near_duplicates_are_found_and_others_are_not() -> None:
    texts = ["Write a story about the old fox and hen", "write a story about the old fox and the hen", "Sum 3 and 4"]
    [(first, second, alike)] = near_duplicates(texts)
    assert (first, second) == (0, 1)
    assert alike >= 0.7
    assert near_duplicates([prompt.text for prompt in bundled_prompts()]) == []
