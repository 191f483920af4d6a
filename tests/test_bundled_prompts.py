"""The eighty prompts leave a sceptic no easy way to tell the categories apart."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer

import moexray
from moexray.prompts import Prompt, bundled_prompts

CATEGORIES = ("code", "factual", "math", "story")
SCALE_TOKENIZER = Path(moexray.__file__).parent / "scale_model" / "tokenizer.json"
PROMPTS = bundled_prompts()


def of(category: str) -> list[Prompt]:
    return [prompt for prompt in PROMPTS if prompt.category == category]


def test_there_are_twenty_prompts_of_each_category() -> None:
    assert [prompt.category for prompt in PROMPTS] == [name for name in CATEGORIES for _ in range(20)]
    assert len({prompt.text for prompt in PROMPTS}) == 80


def test_every_prompt_has_15_to_60_tokens_and_the_medians_lie_within_a_tenth() -> None:
    tokenizer = Tokenizer.from_file(str(SCALE_TOKENIZER))
    for count in (lambda text: len(tokenizer.encode(text).ids), lambda text: len(re.findall(r"\w+|[^\w\s]", text))):
        lengths = {name: [count(prompt.text) for prompt in of(name)] for name in CATEGORIES}
        assert all(15 <= length <= 60 for of_one in lengths.values() for length in of_one)
        medians = [np.median(of_one) for of_one in lengths.values()]
        assert max(medians) <= 1.1 * min(medians), medians


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_two_prompts_of_a_category_open_with_the_same_word(category: str) -> None:
    openings = [re.findall(r"\w+", prompt.text.lower())[0] for prompt in of(category)]
    repeated = {word: openings.count(word) for word in openings if openings.count(word) > 2}
    assert not repeated


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_three_words_in_a_row_occur_in_three_prompts_of_a_category(category: str) -> None:
    """A template would show here."""
    found: dict[tuple[str, ...], int] = {}
    for prompt in of(category):
        words = re.findall(r"\w+", prompt.text.lower())
        for trigram in set(zip(words, words[1:], words[2:], strict=False)):
            found[trigram] = found.get(trigram, 0) + 1
    assert max(found.values()) < 3, [trigram for trigram, n in found.items() if n >= 3]


def lengths(text: str) -> list[float]:
    return [len(text), len(text.split())]


def surface(text: str) -> list[float]:
    """Length and the make-up of the characters: all that can be seen without reading."""
    kinds = [str.isdigit, str.isupper, lambda c: c in ".,;:", lambda c: c in "\"'", lambda c: c in "?!"]
    return [*lengths(text), *(sum(map(kind, text)) / len(text) for kind in kinds), float(text.endswith("?"))]


@pytest.mark.parametrize(("features", "most"), [(lengths, 0.40), (surface, 0.45)])
def test_what_can_be_seen_without_reading_does_not_give_a_prompt_away(
    features: Callable[[str], list[float]], most: float
) -> None:
    """Four-way accuracy in five folds; chance is 0.25, and with 80 prompts has a standard deviation of 0.05."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    rows = np.array([features(prompt.text) for prompt in PROMPTS])
    labels = [prompt.category for prompt in PROMPTS]
    accuracies = [
        cross_val_score(classifier, rows, labels, cv=StratifiedKFold(5, shuffle=True, random_state=seed)).mean()
        for seed in range(10)
    ]
    assert np.mean(accuracies) <= most
