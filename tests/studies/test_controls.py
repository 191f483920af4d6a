"""Where routing follows words alone, or length alone, the controls say so; where it does not, they do not cry wolf."""

import numpy as np
import pytest

from moexray.signatures import Signatures
from moexray.stats.pairs.similarity import similarity
from moexray.studies.analysis import analyze
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.section import compute_sections
from moexray.studies.sections.controls import Controls
from moexray.views.sentences import verdict

from .. import made

PROMPTS, VOCABULARY, EXPERTS, K = 40, 60, 16, 8
NOT_SHOWN, SHOWN = "is not shown", "beyond words and length."


def study(seed: int, *, words: float = 0.0, length: float = 0.0, category: float = 0.0) -> Signatures:
    """Return prompts whose routing mixes what their words, their length and their category prefer.

    Categories differ in words and in length, as prompts collected at random do.
    """
    rng = np.random.default_rng(seed)
    labels = ["ab"[i % 2] for i in range(PROMPTS)]
    of_word = rng.dirichlet(np.ones(EXPERTS) * 0.3, size=VOCABULARY)
    of_label = dict(zip("ab", rng.dirichlet(np.ones(EXPERTS) * 0.3, size=2), strict=True))
    short, long, anything = rng.dirichlet(np.ones(EXPERTS) * 0.3, size=3)
    common, *own = rng.dirichlet(np.ones(VOCABULARY) * 0.1, size=3)
    vocabulary = {label: 0.5 * common + 0.5 * likely for label, likely in zip("ab", own, strict=True)}
    counts, texts, tokens = [], [], []
    for label in labels:
        size = int(rng.integers(12, 36) if label == "a" else rng.integers(24, 60))
        drawn = rng.choice(VOCABULARY, size, p=vocabulary[label])
        share = np.log(size / 12) / np.log(5)
        preference = (
            words * of_word[drawn].mean(axis=0)
            + length * ((1 - share) * short + share * long)
            + category * of_label[label]
            + (1 - words - length - category) * anything
        )
        counts.append(rng.multinomial(size * K, preference))
        texts.append(" ".join(f"w{word}" for word in drawn))
        tokens.append(size)
    phases = np.zeros((PROMPTS, 2, 1, EXPERTS), dtype=np.uint16)
    phases[:, 0, 0] = counts
    return made.signatures(
        counts=phases,
        tokens=np.column_stack([tokens, np.zeros(PROMPTS)]),
        top_k=K,
        categories="ab",
        texts=texts,
        meta={"router_may_drop": True},
    )


def verdicts(studies: int, **effects: float) -> tuple[list[str], list[float]]:
    found, headline = [], []
    for seed in range(studies):
        made = study(seed, **effects)
        controls = Controls(**compute_sections(Controls, Cohort.of(made, permutations=199), Notes()))
        found.append(verdict(controls))
        headline.append(similarity(made.vectors(), made.prompts.categories).cohens_d)
    return found, headline


@pytest.mark.slow
@pytest.mark.parametrize("effects", [{"words": 1.0}, {"length": 1.0}, {"words": 0.5, "length": 0.4}])
@pytest.mark.parametrize(("studies", "large"), [(30, 0.65), pytest.param(100, 0.8, marks=pytest.mark.nightly)])
def test_words_or_length_alone_make_a_headline_but_not_a_verdict(
    effects: dict[str, float], studies: int, large: float
) -> None:
    """The headline is large, and at most one study in twenty is told that routing goes beyond words and length."""
    found, headline = verdicts(studies, **effects)
    assert np.median(headline) > large
    assert sum(SHOWN in told for told in found) <= studies / 20


@pytest.mark.parametrize("studies", [10, pytest.param(50, marks=pytest.mark.nightly)])
def test_a_real_effect_beside_words_and_length_is_found(studies: int) -> None:
    """In nine studies of ten."""
    found, _ = verdicts(studies, words=0.2, length=0.2, category=0.3)
    assert sum("So routing" in told for told in found) >= 0.9 * studies


def test_without_texts_the_controls_that_need_them_are_null_with_a_reason() -> None:
    document = analyze(study(0, words=1.0).replace(texts=None), permutations=9).document
    assert document["controls"]["lexical"] is None
    assert document["controls"]["partial"] is None
    assert document["controls"]["length"] is not None
    assert document["notes"]["controls.lexical"] == "the signatures hold no texts"


def test_near_duplicates_are_named() -> None:
    made = study(0, words=1.0)
    assert made.prompts.texts is not None
    document = analyze(made.replace(texts=(made.prompts.texts[1], *made.prompts.texts[1:])), permutations=9).document
    assert document["controls"]["near_duplicates"] == [["p0", "p1", 1.0]]
    assert "almost the same" in document["notes"]["controls.near_duplicates"]
