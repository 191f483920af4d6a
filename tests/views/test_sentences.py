"""The sentences tell the numbers of the analysis, also where there is nothing to find."""

from dataclasses import replace
from typing import Any

import pytest

from moexray.stats.categories.balance import Baseline
from moexray.stats.categories.location import LocationTest
from moexray.stats.categories.partial import PartialEffect
from moexray.stats.categories.surface import PairedDifference
from moexray.stats.inference.permutation import PermutationTest
from moexray.stats.pairs.summaries import PairSummary
from moexray.studies.analysis import Analysis
from moexray.studies.sections.balance import Balance
from moexray.studies.sections.classifier import Accuracy, Classifier
from moexray.studies.sections.controls import Control, Controls, LexicalControl
from moexray.studies.sections.depth import Depth
from moexray.studies.sections.units import UnitsOfAnalysis
from moexray.views.sentences import CAVEATS, summarize

TEST = PermutationTest(0.22, 0.0, 0.01, 1 / 10_001, 10_000)
LOCATION = LocationTest(0.5, 0.1, 5.2, 1 / 10_001, 10_000, 0.99)
DEPTH = Depth(0.9, 0.001, 4, (2, 4), 0.21, (0.1, 0.3), (2, 3, 4))
CONTROLS = Controls(
    length=Control(Accuracy(0.3, 0.0, (0.2, 0.4), (0.3,)), PairedDifference(0.625, (0.5, 0.7))),
    lexical=LexicalControl(Accuracy(0.8, 0.0, (0.7, 0.9), (0.8,)), PairedDifference(0.125, (0.02, 0.2)), of="prompt"),
    partial=PartialEffect(0.15, 0.22, 0.0005, 2000),
    near_duplicates=(),
    token_identity=None,
)


def nulls(*, uniform: bool = True, matched: bool = False) -> Balance:
    return Balance(Baseline(0.7, (0.69, 0.71), uniform, True), Baseline(0.65, (0.64, 0.66), matched, True))


@pytest.fixture
def found(analysis: Analysis) -> Analysis:
    """Return an analysis whose headline numbers are those written here."""
    similarity = replace(
        analysis.similarity,
        within=PairSummary(0.8435, 0.1, 100, None),
        across=PairSummary(0.6225, 0.1, 100, None),
        cohens_d=1.442,
        cohens_d_ci=(1.1, 1.8),
    )
    layers = tuple(replace(one, cohens_d=d) for one, d in zip(analysis.layers, (0.5, 1.0, 2.5), strict=True))
    classifier = Classifier(Accuracy(0.925, 0.0612, (0.85, 0.97), (1.0,) * 5), 0.25, 0.002, 200, ("a",), ((1,),))
    return replace(
        analysis,
        similarity=similarity,
        permutation=TEST,
        location=LOCATION,
        balance=nulls(),
        classifier=classifier,
        controls=CONTROLS,
        layers=layers,
        depth=DEPTH,
        notes={},
    )


def text(found: Analysis, **changes: Any) -> str:
    return " ".join(summarize(replace(found, **changes)))


def test_an_effect_is_told_with_its_numbers(found: Analysis) -> None:
    told = text(found)
    assert "Prompts of one category are routed more similarly" in told
    assert "0.843 within and 0.623 across" in told.replace("0.844", "0.843").replace("0.622", "0.623")
    assert "Cohen's d = 1.44 (95 % interval 1.10 to 1.80); test of location t = 5.20, p < 0.001" in told
    assert "permutation test of similarity p < 0.001, 10,000 permutations of the labels." in told
    alone = "92.5 % of the prompts from the signature alone (95 % interval 85.0 % to 97.0 %; chance 25.0 %, p = 0.002)"
    assert alone in told
    assert "grows with depth (d +0.210 a layer, p = 0.001) and is largest in layer 4 (d = 2.50; layers that" in told
    assert "cannot be told from the largest: 2-4)" in told


def test_a_null_result_is_told_as_one(found: Analysis) -> None:
    nothing = replace(LOCATION, p_value=0.3)
    told = text(found, permutation=replace(TEST, p_value=0.4, permutations=999), location=nothing)
    assert "cannot be told from that of permuted labels" in told
    assert "routed more similarly" not in told
    assert "no clear trend" in text(found, depth=Depth(0.1, 0.5, 4, None))
    assert "falls with depth" in text(found, depth=Depth(-0.9, 0.01, 4, None))


def test_the_headline_follows_the_test_of_location_and_says_where_the_statistic_of_the_study_does_not(
    found: Analysis,
) -> None:
    spread_only = text(found, location=replace(LOCATION, p_value=0.6))
    assert "The mean routing of the categories cannot be told from that of permuted labels" in spread_only
    assert "unequal spread or unequal length" in spread_only
    assert "routed more similarly" not in spread_only
    hidden = text(found, permutation=replace(TEST, p_value=0.4))
    assert "Prompts of one category are routed more similarly" in hidden
    assert "similarity within minus across, does not show it (p = 0.400" in hidden


def test_without_a_test_of_location_the_headline_says_so(found: Analysis) -> None:
    reason = "category 'a' has 2 prompts; 3 are needed"
    told = text(found, location=None, notes={"location": reason})
    assert f"Mean routing was not tested by itself ({reason})." in told


def test_groups_are_named_in_the_headline_and_too_few_of_them_as_well(found: Analysis) -> None:
    units = UnitsOfAnalysis(units=4, design="nested", pairs_left_out=300, least_p=1 / 3)
    told = text(found, units=units)
    assert "permutations of the labels over 4 groups" in told
    assert "So few groups allow no p-value below 0.333." in told


@pytest.mark.parametrize(
    ("low", "p", "words"),
    [
        (0.02, 0.001, "routing tells categories apart beyond words and length."),
        (-0.02, 0.001, "but names categories no better than they do."),
        (0.02, 0.3, "but are no more similar than these explain."),
        (-0.02, 0.3, "an effect of category beyond words and length is not shown."),
    ],
)
def test_what_the_controls_mean_for_the_headline_is_told(found: Analysis, low: float, p: float, words: str) -> None:
    lexical = replace(CONTROLS.lexical, signatures_less_this=PairedDifference(0.125, (low, 0.2)))
    controls = replace(CONTROLS, lexical=lexical, partial=replace(CONTROLS.partial, p_value=p))
    told = text(found, controls=controls)
    assert words in told
    assert "Words (of prompt) alone name 80.0 % of the prompts and length alone 30.0 %" in told
    assert f"signatures minus words: +12.5 points, 95 % interval {100 * low:+.1f} to +20.0" in told
    assert "0.150 of the 0.220 between pairs within and across remains" in told


def test_the_strongest_text_control_is_the_one_that_signatures_must_beat(found: Analysis) -> None:
    characters = Control(Accuracy(0.9, 0.0, (0.8, 0.95), (0.9,)), PairedDifference(0.025, (-0.05, 0.1)))
    lexical = replace(CONTROLS.lexical, words=None, characters=characters)
    told = text(found, controls=replace(CONTROLS, lexical=lexical))
    assert "of the prompts, characters alone 90.0 % and length alone 30.0 %" in told
    assert "signatures minus characters: +2.5 points, 95 % interval -5.0 to +10.0" in told
    assert "but names categories no better than they do." in told


def test_an_analysis_of_before_has_no_verdict(found: Analysis) -> None:
    """Its controls read the words of prompts, whatever the tokens under study."""
    told = text(found, controls=replace(CONTROLS, lexical=replace(CONTROLS.lexical, of=None)))
    assert "So there is no verdict on words and length: this analysis was made by a version" in told
    assert "beyond words" not in told


def test_a_control_that_is_missing_is_told_with_its_reason(found: Analysis) -> None:
    reason = "the signatures hold no texts"
    told = text(found, controls=replace(CONTROLS, lexical=None), notes={"controls.lexical": reason})
    assert f"Words and length were not both controlled for ({reason})." in told
    assert "beyond words" not in told


@pytest.mark.parametrize(
    ("uniform", "matched", "words"),
    [
        (True, True, "above both"),
        (True, False, "above the first only"),
        (False, True, "above the second only"),
        (False, False, "above neither"),
    ],
)
def test_the_baselines_that_are_exceeded_are_named(found: Analysis, uniform: bool, matched: bool, words: str) -> None:
    told = text(found, balance=nulls(uniform=uniform, matched=matched))
    assert f"pairs within categories lie {words}" in told
    assert "pairs across below both" in told


def test_what_was_not_computed_is_told_with_its_reason(found: Analysis) -> None:
    told = text(found, classifier=None, notes={"classifier": "there is one category \x1b[2Jonly"})
    assert "Not computed: classifier (there is one category \\x1b[2Jonly)." in told


def test_the_caveats_are_never_left_out(found: Analysis) -> None:
    assert summarize(found)[-len(CAVEATS) :] == list(CAVEATS)
