"""Which prompts a study looks at: those with a signature and, above a limit, some of every category and group."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from moexray import Analysis, analyze
from moexray.signatures import Signatures
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LIMITS, Limits
from tests import made

FEW = replace(LIMITS, in_memory=60, sample=40, classifier_permutations=5, classifier_repeats=1, partial_permutations=9)
GROUPS: dict[str, Callable[[int], str]] = {
    "one group in each category": lambda i: "abc"[i % 3],
    "two large groups in each category": lambda i: f"{i % 3} {i // 60}",
    "one group holds a category": lambda i: "a" if i % 3 == 0 else str(i),
    "one group holds most prompts": lambda i: "large" if i < 100 else "",
    "crossed": lambda i: str(i // 3),
    "small groups": lambda i: f"{i % 3} {i // 6}",
}


def study(groups: Callable[[int], str] | None) -> Signatures:
    named = None if groups is None else [groups(i) for i in range(120)]
    return made.signatures(120, layers=(0,), categories="abc", effect=0.3, groups=named)


@pytest.mark.parametrize("name", GROUPS)
def test_a_sample_of_groups_holds_every_category_and_as_many_groups_as_fit(name: str, tmp_path: Path) -> None:
    signatures = study(GROUPS[name])
    cohort = Cohort.of(signatures, limits=FEW)
    assert Counter(cohort.labels).keys() == set("abc")
    assert 30 <= len(cohort) <= 44  # a few above the limit, where a category would have too few
    assert not cohort.streamed
    groups = set(signatures.prompts.groups or ())
    if len(groups) < 10:
        assert set(cohort.groups or ()) | {""} == groups | {""}
    found = analyze(signatures, permutations=9, limits=FEW)
    found.save(tmp_path / "analysis.json")
    assert Analysis.load(tmp_path / "analysis.json") == found


def test_prompts_that_share_groups_are_never_analysed_as_if_they_did_not() -> None:
    found = analyze(study(GROUPS["one group holds most prompts"]), permutations=9, limits=FEW)
    assert found.units is not None
    assert found.units.design == "crossed"
    assert found.units.pairs_left_out > 0


def test_groups_of_one_prompt_are_no_groups_above_the_limit_too() -> None:
    without, alone = (analyze(study(groups), permutations=9, limits=FEW) for groups in (None, str))
    assert alone.similarity == without.similarity
    assert alone.location == without.location
    assert alone.notes["signatures.sample"] == without.notes["signatures.sample"]


@pytest.mark.parametrize("rare", [1, 2, 3, 6])
def test_a_rare_category_is_in_the_sample(rare: int, tmp_path: Path) -> None:
    categories = [*["a", "b"] * 60][: 120 - rare] + ["c"] * rare
    signatures = made.signatures(120, layers=(0,), categories=categories, effect=0.3)
    limits = replace(FEW, sample=30)
    assert Counter(Cohort.of(signatures, limits=limits).labels)["c"] >= min(rare, 5)
    found = analyze(signatures, permutations=9, limits=limits)
    found.save(tmp_path / "analysis.json")
    assert Analysis.load(tmp_path / "analysis.json") == found


def test_a_part_with_fewer_prompts_draws_them_in_the_same_way() -> None:
    cohort = Cohort.of(study(GROUPS["two large groups in each category"]), limits=Limits())
    some = cohort.sample(12, "some")
    assert len(some) == 12
    assert Counter(some.labels) == dict.fromkeys("abc", 4)


def test_a_prompt_whose_every_selection_was_dropped_is_left_out_by_name() -> None:
    whole = made.signatures(12, layers=(0,), drops=True)
    counts = whole.counts.copy()
    counts[3] = 0
    dropped = made.signatures(counts=counts, tokens=whole.tokens, top_k=2, drops=True)
    found = analyze(dropped, permutations=9)
    assert found.signatures.prompts == 11
    assert "p3" in found.notes["signatures.prompts"]
