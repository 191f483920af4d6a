"""Where routing follows words alone, or length alone, the controls say so; where it does not, they do not cry wolf."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.segments import WITH_IMAGES, Segment
from moexray.signatures import Signatures
from moexray.stats.pairs.similarity import similarity
from moexray.studies.analysis import analyze
from moexray.studies.cohort import Cohort
from moexray.studies.limits import Limits
from moexray.studies.notes import Notes
from moexray.studies.section import compute_sections
from moexray.studies.sections.controls import Controls, both_held_fixed
from moexray.studies.sections.studied_text import lengths_by_segment, studied_text
from moexray.views.sentences import verdict

from .. import made
from ..stats.recipes import selected
from ..stats.simulations import assert_power, assert_share, simulated

PROMPTS, VOCABULARY, EXPERTS, K = 40, 60, 16, 8
SHOWN = "So routing tells categories apart beyond words and length."
# Fewer partitions into folds than an analysis makes: the verdict is a little noisier.
QUICK = Limits(classifier_repeats=2)


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


def controls_of(made: Signatures) -> Controls:
    return Controls(**compute_sections(Controls, Cohort.of(made, permutations=199, limits=QUICK), Notes()))


# What routing follows, and between what rates p of "both held fixed" may then be at most 0.05.
ALONE = [
    pytest.param({"length": 1.0}, (0.03, 0.07), id="length"),
    pytest.param({"words": 1.0}, (0.0, 0.07), id="words"),
    pytest.param({"words": 0.5, "length": 0.4}, (0.03, 0.1), id="both"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("effects", "rates"), ALONE)
@pytest.mark.parametrize(("studies", "large"), [(30, 0.65), pytest.param(100, 0.8, marks=pytest.mark.nightly)])
def test_words_or_length_alone_make_a_headline_but_not_a_verdict_nor_an_effect_with_both_held_fixed(
    effects: dict[str, float], rates: tuple[float, float], studies: int, large: float
) -> None:
    """The headline is large, and at most one study in twenty is told that routing goes beyond words and length."""
    made = [study(seed, **effects) for seed in range(studies)]
    assert np.median([similarity(one.vectors(), one.prompts.categories).cohens_d for one in made]) > large
    found = [controls_of(one) for one in made]
    assert [verdict(one) for one in found].count(SHOWN) <= studies / 20
    assert_share(np.array([one.partial.p_value for one in found]) <= 0.05, *rates)


@pytest.mark.slow
@pytest.mark.parametrize("studies", [10, pytest.param(50, marks=pytest.mark.nightly)])
def test_a_real_effect_beside_words_and_length_is_found(studies: int) -> None:
    """In nine studies of ten."""
    found = [verdict(controls_of(study(seed, words=0.2, length=0.2, category=0.3))) for seed in range(studies)]
    assert sum("So routing" in told for told in found) >= 0.9 * studies


def held_fixed(seeds: range, **effects: float) -> np.ndarray:
    """Return p of "both held fixed" in studies of these effects."""
    cohorts = (Cohort.of(study(seed, **effects), permutations=199, limits=QUICK) for seed in seeds)
    return np.array([both_held_fixed(cohort, Notes()).p_value for cohort in cohorts])


@pytest.mark.nightly
@pytest.mark.parametrize(("effects", "rates"), ALONE)
def test_words_or_length_alone_are_no_effect_with_both_held_fixed_in_four_hundred_studies(
    effects: dict[str, float], rates: tuple[float, float]
) -> None:
    """Labels permuted against words and length found one in 12 to 13 % of studies of length, alone or beside words."""
    assert_share(held_fixed(range(400), **effects) <= 0.05, *rates)


@pytest.mark.slow
@pytest.mark.parametrize(
    "effects", [{"length": 0.4, "category": 0.15}, {"words": 0.4, "category": 0.15}], ids=["length", "words"]
)
@simulated(20, nightly=200)
def test_a_small_effect_beside_words_or_length_remains_with_both_held_fixed(
    effects: dict[str, float], seeds: range
) -> None:
    assert_power(held_fixed(seeds, **effects))


def generated(seed: int, *, length: bool) -> Signatures:
    """Return prompts that are routed by token alone, and whose outputs differ by category: in words, or in length.

    Generated tokens prefer other experts than those of the prompt where outputs differ in length.
    """
    rng = np.random.default_rng(seed)
    prompts, words, experts = 60, 80, 16
    affinity, preference = 1.5 * rng.normal(size=(words, experts)), 1.5 * rng.normal(size=experts)
    common, own = rng.dirichlet(np.full(words, 0.3)), rng.dirichlet(np.full(words, 0.15), size=3)
    counts, tokens = np.zeros((prompts, 2, 1, experts), dtype=np.uint16), np.zeros((prompts, 2), dtype=int)
    texts: list[list[str]] = [[], []]
    for prompt in range(prompts):
        kind = prompt % 3
        tokens[prompt] = rng.integers(20, 40), ((8, 20, 60)[kind] + rng.integers(-3, 4) if length else 31)
        for phase, likely in enumerate((common, common if length else 0.4 * common + 0.6 * own[kind])):
            drawn = rng.choice(words, tokens[prompt, phase], p=likely)
            logits = affinity[drawn] + (preference if length and phase else 0)
            counts[prompt, phase, 0] = selected(rng, logits[:, None], 1, 4).sum(axis=0)[0]
            texts[phase].append(" ".join(f"w{word}" for word in drawn))
    return made.signatures(counts=counts, tokens=tokens, top_k=4, categories="abc", texts=texts[0], outputs=texts[1])


@pytest.mark.slow
@pytest.mark.parametrize(("length", "tokens"), [(False, "all"), (False, "generated"), (True, "all")])
@simulated(4, nightly=40)
def test_outputs_that_differ_in_words_or_length_are_controlled_for(length: bool, tokens: str, seeds: range) -> None:
    """Controls of prompts alone told 26 to 39 of 40 such studies that routing goes beyond words and length."""
    found = []
    for seed in seeds:
        cohort = Cohort.of(generated(seed, length=length), tokens=tokens, permutations=199, limits=QUICK)
        found.append(verdict(Controls(**compute_sections(Controls, cohort, Notes()))))
    assert found.count(SHOWN) <= len(found) / 20


def prompts_of(texts: list[str], seed: int) -> Signatures:
    """Return two categories of ten prompts, of one length and with a planted effect."""
    rng = np.random.default_rng(seed)
    logits = 0.5 * rng.normal(size=(2, 3, 16))[np.arange(20) % 2] + 0.3 * rng.normal(size=(20, 3, 16))
    counts = selected(rng, logits + rng.normal(size=(3, 16)), 40, 4)[:, None]
    counts = np.concatenate([counts, np.zeros_like(counts)], axis=1).astype(np.uint16)
    return made.signatures(counts=counts, top_k=4, categories="ab", texts=texts)


@pytest.mark.parametrize("words", ["own", "without spaces", "shared"])
def test_words_that_no_two_prompts_share_explain_nothing(words: str) -> None:
    """Predictions of each prompt from all others took the whole effect away: they held minus the signatures."""
    for seed in range(3):
        rng = np.random.default_rng([seed, 1])
        letters = "".join(chr(0x4E00 + letter) for letter in rng.integers(0, 3000, size=1200))
        texts = {
            "own": [" ".join(f"w{prompt}x{word}" for word in range(40)) for prompt in range(20)],
            "without spaces": [letters[60 * prompt : 60 * prompt + 60] for prompt in range(20)],
            "shared": [" ".join(f"w{word}" for word in rng.integers(0, 60, size=40)) for _ in range(20)],
        }[words]
        found = both_held_fixed(Cohort.of(prompts_of(texts, seed), permutations=199), Notes())
        assert found.p_value <= 0.05
        assert found.category_effect > 0.8 * found.unadjusted > 0


@pytest.mark.parametrize(
    ("tokens", "of", "text"),
    [("prompt", "prompt", "a"), ("generated", "output", "x"), ("all", "prompt and output", "a\nx")],
)
def test_controls_read_the_text_and_the_length_of_the_tokens_under_study(tokens: str, of: str, text: str) -> None:
    signatures = made.signatures(4, texts=["a"] * 4, outputs=["x"] * 4)
    cohort = Cohort.of(signatures, tokens=tokens)
    assert studied_text(cohort).of == of
    assert studied_text(cohort).texts[0] == text
    np.testing.assert_array_equal(lengths_by_segment(cohort).sum(axis=1), signatures.lengths(tokens))


def test_where_nothing_was_generated_prompts_are_all_that_was_read() -> None:
    signatures = made.signatures(4, tokens=[5, 0], texts=["a"] * 4)
    assert studied_text(Cohort.of(signatures)).of == "prompt"


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ("all", "no words say what image tokens show"),
        ("prompt/image", "no words say what image tokens show"),
        ("system", "which words of the prompt are those of the tokens 'system'"),
        ("generated", None),
    ],
)
def test_text_that_is_not_known_is_not_guessed(tokens: str, reason: str | None) -> None:
    segments = tuple(map(Segment.parse, ("prompt/system", "prompt/user", "prompt/image", "generated/text")))
    cohort = Cohort.of(made.signatures(4, segments=segments, texts=["a"] * 4, outputs=["x"] * 4), tokens=tokens)
    if reason is None:
        assert studied_text(cohort).of == "output"
    else:
        with pytest.raises(NotComputable, match=reason):
            studied_text(cohort)


def test_without_outputs_there_is_no_verdict_on_generated_tokens() -> None:
    """The words of prompts are no control of what was generated."""
    bare = generated(0, length=False).replace(outputs=None)
    for tokens in ("all", "generated"):
        notes = Notes()
        cohort = Cohort.of(bare, tokens=tokens, permutations=9, limits=QUICK)
        found = Controls(**compute_sections(Controls, cohort, notes))
        assert found.lexical is None
        assert found.partial is None
        assert notes.found["lexical"] == "the signatures hold no outputs"
        assert verdict(found) == "So there is no verdict on words and length."
    assert studied_text(Cohort.of(bare, tokens="prompt")).of == "prompt"


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


def test_length_is_that_of_each_kind_of_tokens() -> None:
    """A signature mixes text and image in proportion, so one length of both together is no control of it."""
    signatures = made.signatures(6, segments=WITH_IMAGES, length=(0, 9))
    np.testing.assert_array_equal(lengths_by_segment(Cohort.of(signatures)), signatures.tokens)
    prompt = Cohort.of(signatures, tokens="prompt")
    np.testing.assert_array_equal(lengths_by_segment(prompt), signatures.tokens[signatures.has_tokens("prompt")][:, :2])
