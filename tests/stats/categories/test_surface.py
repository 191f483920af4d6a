"""Words and length alone: the same folds, the same prompts, and no leak from a prompt to its own prediction."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from moexray.errors import NotComputable
from moexray.prompts import bundled_prompts
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.surface import length_features, paired_difference, signature_products
from moexray.stats.categories.word_classifier import classify_characters, classify_token_ids, classify_words
from moexray.stats.categories.words import character_similarities, near_duplicates, word_similarities

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


def test_characters_are_classified_as_scikit_learn_does_end_to_end() -> None:
    texts = [text if i % 3 else "the same for all" for i, text in enumerate(TEXTS)]
    bags = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    expected = cross_val_score(make_pipeline(bags, LogisticRegression(max_iter=10_000)), texts, LABELS, cv=folds)
    found = classify_characters(texts, LABELS, repeats=1)
    assert found.fold_accuracies == pytest.approx(expected)
    assert 0.5 < found.accuracy < 1


def test_texts_without_spaces_are_told_apart_by_characters_and_not_by_words() -> None:
    """A Chinese sentence is one word, which no other prompt has."""
    letters = np.random.default_rng(0).integers(0x4E00, 0x4E00 + 30, size=(20, 25)) + 40 * np.tile([0, 1], 10)[:, None]
    texts = ["".join(map(chr, row)) for row in letters]
    assert classify_words(texts, LABELS).accuracy <= 0.6
    assert classify_characters(texts, LABELS).accuracy == 1


def test_token_ids_are_classified_as_the_words_that_they_stand_for() -> None:
    drawn = np.random.default_rng(0).integers(12, size=(20, 15)) + 2 * np.tile([0, 1], 10)[:, None]
    texts = [" ".join(f"t{token}" for token in row) for row in drawn]
    found = classify_token_ids(drawn.ravel() * 7, np.repeat(np.arange(20), 15), LABELS)
    assert found.accuracy < 1
    np.testing.assert_array_equal(found.right, classify_words(texts, LABELS).right)


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


def test_similarity_of_words_is_one_for_the_same_words_and_none_for_others() -> None:
    counted, weighted = word_similarities(["a fox, a hen", "A hen A fox", "stone bridge"])
    for matrix in (counted, weighted):
        assert matrix[0, 1] == pytest.approx(1)
        assert matrix[0, 2] == matrix[1, 2] == 0
    assert counted[0, 1] == pytest.approx(1)


def test_similarity_of_characters_sees_parts_of_words() -> None:
    alike = character_similarities(["foxes", "foxing", "stone"])
    assert alike[0, 1] > 0.1
    assert alike[0, 2] < 0.01
    with pytest.raises(NotComputable, match="no prompt holds a character"):
        character_similarities(["", " "])


def test_two_lengths_of_a_prompt_are_features_of_their_own() -> None:
    """Of 10 and 90 tokens the sum says as much as of 50 and 50: nothing."""
    tokens = np.array([[10, 90] if i % 2 else [50, 50] for i in range(20)])
    assert classify(length_features(tokens), LABELS).accuracy == 1
    assert classify(length_features(tokens.sum(axis=1)), LABELS).accuracy <= 0.5


def test_the_mean_product_of_two_prompts_knows_nothing_of_their_lengths() -> None:
    """Prompts of one mean routing: short ones have smaller cosines than long ones, and the same products."""
    rng = np.random.default_rng(0)
    tokens = np.repeat([10, 200], 300)
    shares = rng.multinomial(tokens, np.full(16, 1 / 16)) / tokens[:, None]
    short, long = slice(0, 300), slice(300, 600)
    products = signature_products(shares)
    cosines = products / np.sqrt(np.outer(np.diag(products), np.diag(products)))
    upper = np.triu_indices(300, 1)
    means = [[matrix[part, part][upper].mean() for part in (short, long)] for matrix in (cosines, products)]
    assert means[0][1] > 2 * means[0][0]
    assert means[1][1] == pytest.approx(means[1][0], rel=0.03)


def test_near_duplicates_are_found_and_others_are_not() -> None:
    texts = ["Write a story about the old fox and hen", "write a story about the old fox and the hen", "Sum 3 and 4"]
    [(first, second, alike)] = near_duplicates(texts)
    assert (first, second) == (0, 1)
    assert alike >= 0.7
    assert near_duplicates([prompt.text for prompt in bundled_prompts()]) == []
