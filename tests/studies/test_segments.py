"""Phases compared: the same prompts, the same folds, and a reason where one phase is missing."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import classify
from moexray.stats.pairs.similarity import similarity
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.sections.phases import Phases, compare_phases

from .. import made


def signatures(prompts: int = 20, *, empty: tuple[int, ...] = (), seed: int = 0) -> Signatures:
    """Two layers of eight experts; the generated phase repeats what a prompt prefers; `empty` ones generate nothing."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((prompts, 2, 2, 8), dtype=np.uint16)
    tokens = rng.integers(10, 30, size=(prompts, 2)).astype(np.int32)
    tokens[list(empty), 1] = 0
    for prompt, layer in np.ndindex(prompts, 2):
        liking = rng.dirichlet(np.where(np.arange(8) // 4 == prompt % 2, 2.0, 1.0))
        for phase in range(2):
            counts[prompt, phase, layer] = rng.multinomial(2 * tokens[prompt, phase], liking)
    return made.signatures(counts=counts, tokens=tokens)


def phases(made: Signatures, tokens: str = "all", permutations: int = 99) -> Phases:
    return compare_phases(Cohort.of(made, tokens=tokens, permutations=permutations), Notes())


def with_notes(made: Signatures) -> tuple[Phases, dict[str, str]]:
    notes = Notes()
    found = notes.attempt("phases", lambda: compare_phases(Cohort.of(made, permutations=99), notes.under("phases")))
    return found, notes.found


def test_each_phase_has_the_values_of_an_analysis_of_that_phase() -> None:
    made = signatures()
    found = phases(made)
    assert found.prompts == 20
    for phase, effect in (("prompt", found.prompt), ("generated", found.generated)):
        alone = similarity(made.vectors(phase), made.prompts.categories)
        classified = classify(made.vectors(phase), made.prompts.categories)
        assert effect.within == pytest.approx(alone.within.mean)
        assert effect.across == pytest.approx(alone.across.mean)
        assert effect.cohens_d == pytest.approx(alone.cohens_d)
        assert effect.cohens_d_ci == pytest.approx(alone.cohens_d_ci)
        assert effect.accuracy == classified.accuracy
        assert effect.accuracy_ci == classified.accuracy_ci
    low, high = found.difference.ci
    assert low < found.difference.cohens_d < high


def test_a_prompt_that_goes_on_as_it_began_is_found_to_do_so() -> None:
    found = phases(signatures(), permutations=999)
    assert found.own.mean > found.same_category
    assert found.p_value == 1 / 1000


def test_only_prompts_with_tokens_in_both_phases_are_compared_and_their_groups_go_with_them() -> None:
    groups = tuple(f"g{i // 2}" for i in range(32))
    made = signatures(32, empty=(2, 3)).replace(groups=groups)
    kept = made.take([i for i, name in enumerate(made.prompts.ids) if name not in {"p2", "p3"}])
    found, notes = with_notes(made)
    assert (found, {}) == with_notes(kept)
    assert notes["phases.prompts"].startswith("compares 30 of 32 prompts")


@pytest.mark.parametrize("tokens", ["prompt", "generated", "all"])
def test_the_comparison_is_the_same_whichever_phase_is_analyzed(tokens: str) -> None:
    assert phases(signatures(), tokens) == phases(signatures())


def test_at_most_two_thousand_permutations_are_made() -> None:
    assert phases(signatures(), permutations=10_000).permutations == 2000


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (signatures(6, empty=tuple(range(6))), "no token generated"),
        (signatures(6, empty=(0, 1, 2)), "3 prompts with tokens in both phases"),
    ],
)
def test_a_phase_that_is_missing_is_not_compared(made: Signatures, reason: str) -> None:
    with pytest.raises(NotComputable, match=reason):
        phases(made)


def test_what_a_handful_of_prompts_cannot_give_is_none_with_its_reason() -> None:
    found, notes = with_notes(signatures(4))
    assert found.prompt.accuracy is None
    assert "than the 5 folds" in notes["phases.accuracy"]
    found, notes = with_notes(signatures(6).replace(categories=("a",) * 6))
    assert found.other_categories is None
    assert (found.difference.cohens_d, found.difference.ci) == (None, None)
    assert {"phases.other_categories", "phases.cohens_d", "phases.accuracy"} <= set(notes)


def test_a_prompt_whose_phase_the_router_dropped_is_left_out_and_named() -> None:
    whole = signatures(12)
    counts = whole.counts.copy()
    counts[4, 0] = counts[9, 1] = 0
    found, notes = with_notes(whole.replace(counts=counts, meta={"router_may_drop": True}))
    kept = whole.take([i for i in range(12) if i not in {4, 9}])
    assert found == phases(kept)
    assert notes["phases.prompts"].startswith("compares 10 of 12 prompts")
    assert notes["phases.prompts"].endswith("the router dropped every token of a phase of p4, p9")


def test_p_that_cannot_be_small_says_so() -> None:
    """Two prompts of each of two categories: 2! · 2! = 4 arrangements."""
    found, notes = with_notes(signatures(4))
    assert found.p_value >= 0.25 - 0.1
    assert "cannot be below 0.25" in notes["phases.p_value"]


def test_groups_decide_what_is_exchanged() -> None:
    """Groups of two prompts: 2 ** 10 arrangements of 20 prompts, and an own similarity as before."""
    plain = signatures()
    grouped = plain.replace(groups=tuple(f"g{i % 2}{i // 4}" for i in range(20)))
    found, without = phases(grouped, permutations=999), phases(plain, permutations=999)
    assert found.own.mean == without.own.mean
    assert found.same_category != without.same_category
    assert found.p_value < 0.05
