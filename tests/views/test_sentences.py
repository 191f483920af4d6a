"""The sentences say what the figures say, also where there is nothing to find."""

from collections.abc import Mapping
from typing import Any

import pytest

from moexray.views.sentences import CAVEATS, summarize


def document(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "similarity": {
            "within": {"mean": 0.8435},
            "across": {"mean": 0.6225},
            "cohens_d": 1.442,
            "cohens_d_ci": [1.1, 1.8],
        },
        "permutation": {"p_value": 1 / 10_001, "permutations": 10_000},
        "balance": {
            "uniform": {"mean": 0.7, "within_above": True, "across_below": True},
            "load_matched": {"mean": 0.65, "within_above": True, "across_below": False},
        },
        "classifier": {"accuracy": {"mean": 0.925, "std": 0.0612, "folds": [1] * 5}, "chance": 0.25, "p_value": 0.002},
        "controls": {
            "length": {"accuracy": {"mean": 0.3}, "signatures_less_this": {"difference": 0.625, "ci": [0.5, 0.7]}},
            "lexical": {"accuracy": {"mean": 0.8}, "signatures_less_this": {"difference": 0.125, "ci": [0.02, 0.2]}},
            "partial": {"category_effect": 0.15, "unadjusted": 0.22, "p_value": 0.0005},
        },
        "layers": [{"layer": 12, "cohens_d": 1.0}, {"layer": 13, "cohens_d": 2.5}],
        "depth": {"spearman": 0.9, "p_value": 0.001, "peak_layer": 13, "peak_layer_ci": [12, 13]},
        "notes": {},
    }
    return {**made, **changes}


def text(found: Mapping[str, Any]) -> str:
    return " ".join(summarize(found))


def test_an_effect_is_told_with_its_figures() -> None:
    told = text(document())
    assert "more alike" in told
    assert "0.843 within against 0.622 across" in told.replace("0.844", "0.843").replace("0.623", "0.622")
    assert "Cohen's d = 1.44 (95 % interval 1.10 to 1.80); p < 0.001, 10,000 shuffles" in told
    assert "92.5 % of the prompts (± 6.1 % over 5 folds; chance 25.0 %, p = 0.002)" in told
    assert "grows with depth (Spearman +0.90, p = 0.001) and is largest in layer 13 (d = 2.50; with other" in told
    assert "the peak would lie in layers 12 to 13" in told


def test_a_null_result_is_told_as_one() -> None:
    told = text(document(permutation={"p_value": 0.4, "permutations": 999}))
    assert "cannot be told from that of shuffled labels" in told
    assert "more alike" not in told
    assert "no clear trend" in text(
        document(depth={"spearman": 0.1, "p_value": 0.5, "peak_layer": 12, "peak_layer_ci": None})
    )
    assert "falls with depth" in text(
        document(depth={"spearman": -0.9, "p_value": 0.01, "peak_layer": 12, "peak_layer_ci": None})
    )


@pytest.mark.parametrize(
    ("low", "p", "words"),
    [
        (0.02, 0.001, "routing tells categories apart beyond words and length."),
        (-0.02, 0.001, "but names categories no better than they do."),
        (0.02, 0.3, "but are no more alike than these explain."),
        (-0.02, 0.3, "is not shown."),
    ],
)
def test_what_the_controls_mean_for_the_headline_is_said(low: float, p: float, words: str) -> None:
    controls = document()["controls"]
    controls["lexical"]["signatures_less_this"]["ci"] = [low, 0.2]
    controls["partial"]["p_value"] = p
    told = text(document(controls=controls))
    assert words in told
    assert "Words alone name 80.0 % of the prompts and length alone 30.0 %" in told
    assert "0.150 of the 0.220 between pairs within and across is left" in told


def test_a_control_that_is_missing_is_said_with_its_reason() -> None:
    controls = {**document()["controls"], "lexical": None}
    told = text(document(controls=controls, notes={"controls.lexical": "the signatures hold no texts"}))
    assert "Words and length were not all controlled for (the signatures hold no texts)." in told
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
def test_the_baselines_that_are_beaten_are_named(uniform: bool, matched: bool, words: str) -> None:
    nulls = {
        "uniform": {"mean": 0.7, "within_above": uniform, "across_below": True},
        "load_matched": {"mean": 0.6, "within_above": matched, "across_below": True},
    }
    told = text(document(balance=nulls))
    assert f"pairs within lie {words}" in told
    assert "pairs across below both" in told


def test_what_was_not_computed_is_said_with_its_reason() -> None:
    told = text(document(classifier=None, notes={"classifier": "there is one category only"}))
    assert "Not computed: classifier (there is one category only)." in told


def test_the_caveats_are_never_left_out() -> None:
    assert summarize(document())[-len(CAVEATS) :] == list(CAVEATS)
