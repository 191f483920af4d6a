"""The classifier is scikit-learn's, end to end, and its p-value treats observed and permuted labels the same way."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.word_classifier import classify_words
from moexray.stats.categories.words import WORD


def planted(seed: int, strength: float, *, prompts: int = 40, dimensions: int = 200) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = ["code", "factual", "math", "story"] * (prompts // 4)
    centres = rng.normal(size=(4, dimensions))
    return rng.normal(size=(prompts, dimensions)) + strength * np.tile(centres, (prompts // 4, 1)), labels


@pytest.mark.parametrize("strength", [0.0, 0.15, 0.3, 2.0])
@pytest.mark.parametrize("dimensions", [3, 200])
def test_accuracy_and_confusion_equal_scikit_learn_end_to_end(strength: float, dimensions: int) -> None:
    """In the full dimensions, where we fit in those that the training rows span."""
    vectors, labels = planted(0, strength, dimensions=dimensions)
    vectors[:, 1] = 7  # an expert that never varies must not divide by zero
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-6, max_iter=10_000))
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    found = classify(vectors, labels, folds=5, seed=3, repeats=1)
    np.testing.assert_allclose(found.fold_accuracies, cross_val_score(pipeline, vectors, labels, cv=folds))
    expected = confusion_matrix(labels, cross_val_predict(pipeline, vectors, labels, cv=folds))
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.labels == ("code", "factual", "math", "story")
    assert found.accuracy == pytest.approx(np.mean(found.fold_accuracies))


def test_one_definition_of_accuracy_holds_for_its_interval_its_confusion_and_its_partitions() -> None:
    """Groups of 100, 1, 1, 1 and 1 prompts make folds of unequal size: the mean over folds says something else."""
    rng = np.random.default_rng(0)
    groups = [f"g {i}" for i in range(5) for _ in range([100, 1, 1, 1, 1][i])] * 2
    labels = ["a"] * 104 + ["b"] * 104
    vectors = rng.normal(size=(208, 3)) + 0.5 * np.array([[label == "a"] for label in labels])
    found = classify(vectors, labels, groups=[f"{label} {group}" for label, group in zip(labels, groups, strict=True)])
    assert found.accuracy == np.mean(found.right) == np.trace(found.confusion) / found.confusion.sum()
    assert found.accuracy != pytest.approx(np.mean(found.fold_accuracies), abs=0.01)
    assert found.accuracy_ci[0] <= found.accuracy <= found.accuracy_ci[1]


def test_more_partitions_are_those_of_the_next_seeds() -> None:
    vectors, labels = planted(0, 0.15)
    found = classify(vectors, labels, seed=2, repeats=3)
    alone = [classify(vectors, labels, seed=seed, repeats=1) for seed in (2, 3, 4)]
    assert found.fold_accuracies == tuple(one for each in alone for one in each.fold_accuracies)
    np.testing.assert_array_equal(found.right, np.concatenate([one.right for one in alone]))
    assert found.accuracy == pytest.approx(np.mean([one.accuracy for one in alone]))


def test_balanced_accuracy_is_scikit_learn_s_and_a_small_category_counts_in_it() -> None:
    """5 against 197 prompts: always naming the large one is 97.5 % accurate, and no better than a guess."""
    labels = ["a"] * 5 + ["b"] * 197
    found = classify(np.random.default_rng(0).normal(size=(202, 2)), labels, repeats=1)
    predicted = np.where(found.right[0], labels, ["b"] * 5 + ["a"] * 197)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.accuracy > 0.95
    low, high = found.balanced_accuracy_ci
    assert low <= found.balanced_accuracy <= high
    assert low < 0.5 < high


def test_the_spread_is_the_population_standard_deviation_over_folds() -> None:
    """The published 92.5 % ± 6.1 % is 74 of 80 right in folds of 16, spread so."""
    accuracies = (1.0, 0.9375, 0.9375, 0.9375, 0.8125)
    assert np.mean(accuracies) == 74 / 80
    assert np.std(accuracies) == pytest.approx(0.0612, abs=5e-5)
    found = classify(*planted(0, 0.15))
    assert found.accuracy_std == pytest.approx(np.std(found.fold_accuracies))


def test_where_nothing_varies_the_most_frequent_category_is_named() -> None:
    found = classify(np.ones((20, 3)), ["a"] * 15 + ["b"] * 5)
    assert found.accuracy == found.chance == 0.75


def test_chance_is_the_share_of_the_largest_category() -> None:
    vectors, labels = planted(0, 0.0)
    assert classify(vectors, ["code" if label != "story" else label for label in labels]).chance == 0.75


def test_what_separates_is_found_and_noise_is_not() -> None:
    assert classify(*planted(0, 2.0)).accuracy == 1
    assert classify(*planted(0, 0.0)).accuracy < 0.5


def test_prompts_of_one_group_are_never_split() -> None:
    """Ten pairs of twins with random labels: a twin in the training folds would give the other away."""
    rng = np.random.default_rng(0)
    twins = np.repeat(rng.normal(size=(20, 50)), 2, axis=0)
    labels = [label for label in rng.permutation(["a", "b"] * 10) for _ in range(2)]
    groups = [f"twins {i // 2}" for i in range(40)]
    assert classify(twins, labels, folds=5).accuracy > 0.7
    assert classify(twins, labels, folds=5, groups=groups).accuracy < 0.7


def test_a_prompt_without_a_group_is_its_own() -> None:
    vectors, labels = planted(0, 0.15)
    alone, together = classify(vectors, labels), classify(vectors, labels, groups=[""] * 40)
    assert alone.fold_accuracies == together.fold_accuracies


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        (["a"] * 12, None, "one category"),
        (["a"] * 9 + ["b"] * 3, None, "'b' has fewer prompts or groups .3. than the 5 folds"),
        (["a"] * 6 + ["b"] * 6, ["g"] * 6 + [""] * 6, "'a' has fewer prompts or groups .1."),
    ],
)
def test_too_little_to_fold_is_not_computable(labels: list[str], groups: list[str] | None, reason: str) -> None:
    with pytest.raises(NotComputable, match=reason):
        classify(np.random.default_rng(0).random((12, 4)), labels, groups=groups)


def test_a_fold_whose_training_texts_hold_no_word_names_the_most_frequent_category() -> None:
    found = classify_words(["", "word", "", ""], list("aabb"), folds=2)
    assert 0 <= found.accuracy <= 1


def test_where_groups_leave_one_category_to_learn_from_it_is_named() -> None:
    groups = ["g", "", "h", "g", "h", "g"]
    vectors = np.random.default_rng(0).random((6, 3))
    found = classify(vectors, list("aabbba"), folds=2, groups=groups)
    assert found.confusion.sum() == 6 * len(found.right)
    assert classify_words(list("wxyzwx"), list("aabbba"), folds=2, groups=groups, repeats=1).confusion.sum() == 6


def test_words_are_classified_as_scikit_learn_classifies_their_tf_idf() -> None:
    rng = np.random.default_rng(5)
    labels = ["code", "math", "story"] * 10
    own = {"code": ["def", "return"], "math": ["sum", "prime"], "story": ["once", "dragon"]}
    common = ["the", "a", "of", "two", "it", "is"]
    texts = [" ".join([*rng.choice(common, 6), *rng.choice(own[label], rng.integers(2))]) for label in labels]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(tol=1e-8, max_iter=10_000))
    pipeline[0].token_pattern = WORD.pattern
    expected = cross_val_score(pipeline, texts, labels, cv=StratifiedKFold(5, shuffle=True, random_state=1))
    found = classify_words(texts, labels, seed=1, repeats=1)
    np.testing.assert_allclose(found.fold_accuracies, expected)
    assert 0.4 < found.accuracy < 1
