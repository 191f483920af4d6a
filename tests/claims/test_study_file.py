"""The shipped claims are those of the study, and a table that is wrong is one clear error."""

from math import sqrt
from pathlib import Path

import pytest

from moexray.claims.study_file import parse_study, read_study, shipped_study
from moexray.claims.tests import CLAIM_TESTS
from moexray.errors import AnalysisError

GOOD = """
[study]
title = "A study"
source = "somewhere"
[study.settings]
model = "some/model"
categories = ["a", "b"]
dtype = "float32"
[[claims]]
id = "1"
name = "effect"
text = "The effect is large"
kind = "effect_size"
published = "0.8"
values = { d = 0.8 }
"""


def test_the_shipped_claims_are_numbered_from_c1_to_c16_and_use_every_kind_of_test_of_an_analysis() -> None:
    study = shipped_study()
    assert [claim.id for claim in study.claims] == [f"C{n}" for n in range(1, 17)]
    of_results = {kind for kind in CLAIM_TESTS if kind.startswith("measured")}
    assert {claim.kind for claim in study.claims} == set(CLAIM_TESTS) - of_results
    assert study.settings["model"] == "allenai/OLMoE-1B-7B-0125-Instruct"
    assert study.settings["max_new_tokens"] == 32
    assert [claim.id for claim in study.claims if claim.needs == ("model",)] == ["C1", "C2"]


def test_the_published_effect_size_follows_from_the_published_means_pooled_by_pairs() -> None:
    """Four categories of twenty prompts make 4 · 190 = 760 pairs within, and 6 · 400 = 2,400 across."""
    values = {claim.id: claim.values for claim in shipped_study().claims}
    within, across = values["C3"], values["C4"]
    pooled = sqrt((759 * within["std"] ** 2 + 2399 * across["std"] ** 2) / 3158)
    assert (within["mean"] - across["mean"]) / pooled == pytest.approx(1.442, abs=5e-4)
    assert values["C5"]["d"] == 1.44


def test_the_values_tested_are_the_figures_shown() -> None:
    shown = {claim.id: (claim.published, claim.values) for claim in shipped_study().claims}
    for key in ("C3", "C4"):
        text, values = shown[key]
        assert text == f"{values['mean']} ± {values['std']}"
    for key in ("C6", "C7"):
        text, values = shown[key]
        assert text == f"{values['low']}–{values['high']}"
    text, values = shown["C11"]
    assert text == f"{100 * values['mean']:.1f} % ± {100 * values['std']:.1f} %"
    assert values["mean"] == 74 / 80
    assert shown["C1"][0] == " / ".join(map(str, shown["C1"][1].values()))
    assert f"layer ≈ {shown['C12'][1]['layer']} of" in shown["C12"][0]


def test_a_study_of_ones_own_is_read_and_its_claims_need_all_settings_unless_they_say_less(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD, encoding="utf-8")
    (claim,) = read_study(tmp_path / "mine.toml").claims
    assert (claim.values, claim.needs) == ({"d": 0.8}, ("model", "categories", "dtype"))
    assert parse_study(GOOD + "needs = []", where="x").claims[0].needs == ()


def test_every_value_that_is_compared_has_a_margin_and_an_error_with_its_source() -> None:
    for claim in shipped_study().claims:
        compares = CLAIM_TESTS[claim.kind].compares
        assert (claim.error is not None) == compares, claim.id
        assert (claim.margin is not None) == (compares or claim.kind == "shuffled_labels"), claim.id
        assert claim.error is None or (claim.error["prompts"], "assumed" in claim.error["source"]) == (80, True)


def test_both_means_off_by_their_margins_leave_half_of_the_published_separation() -> None:
    within, across = ({claim.id: claim for claim in shipped_study().claims}[name] for name in ("C3", "C4"))
    separation = within.values["mean"] - across.values["mean"]
    left = separation - (within.margin or 0) - (across.margin or 0)
    assert left / separation == pytest.approx(0.5, abs=5e-3)


@pytest.mark.parametrize("error", ["se = 0.1", "ci = [0.5, 1]", "prompts = 40"])
def test_a_claim_may_state_the_error_of_its_value_in_three_ways(error: str) -> None:
    text = GOOD + f'margin = 0.3\nerror = {{ {error}, source = "its table 2" }}\n'
    (claim,) = parse_study(text, where="x").claims
    assert claim.margin == 0.3
    assert (claim.error or {})["source"] == "its table 2"


CLAIM = GOOD[GOOD.index("[[claims]]") :]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[study]", "[study", r"^mine.toml is not a table of claims: "),
        (CLAIM, "", r"mine.toml: claims is missing"),
        (GOOD, f"claims = 3\n{GOOD.removesuffix(CLAIM)}", r"write \[\[claims\]\] above each"),
        (GOOD, f"study = 3\n{CLAIM}", r"study must be a table: write \[study\]"),
        ('source = "somewhere"', "", r"\[study\]: source is missing"),
        ('title = "A study"', "title = 3", "title is 3: it must be a text"),
        ('model = "some/model"', "", "name the model"),
        ('["a", "b"]', '"a"', "categories must be a list"),
        ('"float32"', "1979-05-27", r"dtype is .*: it must be a text"),
        ('"float32"', "nan", "dtype is nan: it must be a text"),
        ('id = "1"', "", "claim 1: id is missing: add it"),
        ('id = "1"', "id = 1", "id is 1: it must be a text"),
        ('"effect_size"', '"effect"', r"claim 1 \(1\): no kind 'effect': there are above_balance, "),
        ("d = 0.8", "", "values of effect_size: d is missing"),
        ("d = 0.8", "d = 0.8, e = 1", "no key 'e' is known here: there are d"),
        ("d = 0.8", "d = true", "d is True: it must be a number"),
        ("d = 0.8", "d = inf", "d is inf: it must be a number"),
        ("values = { d = 0.8 }", "values = 0.8", "values must be a table"),
        ("values =", "value =", "no key 'value' is known here"),
        ("values =", "margin = 0\nvalues =", "margin is 0: it must be a number above zero"),
        ('"effect_size"\npublished = "0.8"\nvalues = { d = 0.8 }', '"above_balance"\npublished = "0.8"\nmargin = 1',
         "the test above_balance knows no margin"),
        ('"effect_size"\npublished = "0.8"\nvalues = { d = 0.8 }',
         '"shuffled_labels"\npublished = "0.8"\nerror = { se = 1, source = "x" }', "knows no error"),
        ("values =", "error = 0.1\nvalues =", "error must be a table"),
        ("values =", 'error = { source = "x" }\nvalues =', "error must give one of"),
        ("values =", 'error = { se = 1, prompts = 9, source = "x" }\nvalues =', "error must give one of"),
        ("values =", "error = { se = 1 }\nvalues =", "error: source is missing: add it"),
        ("values =", 'error = { se = 0, source = "x" }\nvalues =', "se is 0: it must be a number above zero"),
        ("values =", 'error = { ci = [1, 0], source = "x" }\nvalues =', "two numbers, the lower first"),
        ("values =", 'error = { prompts = 1, source = "x" }\nvalues =', "it must be a whole number above one"),
        ('"effect_size"\npublished = "0.8"\nvalues = { d = 0.8 }',
         '"similarity_of_pairs"\npublished = "0.8"\nvalues = { low = 0, high = 1 }\n'
         'error = { ci = [0, 1], source = "x" }', "a range has no interval of its own"),
        ("values =", 'needs = ["speed"]\nvalues =', "list names of .* model, categories, dtype"),
        ("values =", "needs = [[]]\nvalues =", "list names of"),
        (CLAIM, CLAIM + CLAIM, "two claims have the id '1'"),
        ('"effect_size"\npublished = "0.8"\nvalues = { d = 0.8 }',
         '"similarity_of_pairs"\npublished = "0.8"\nvalues = { low = 1, high = 0 }', "low is above high"),
        ('"effect_size"\npublished = "0.8"\nvalues = { d = 0.8 }',
         '"adjacent"\npublished = "0.8"\nvalues = { categories = ["a", "a"] }', "it must be a list of two names"),
        ('"effect_size"\npublished = "0.8"\nvalues = { d = 0.8 }',
         '"peak_layer"\npublished = "0.8"\nvalues = { layer = 1.5 }', "it must be a whole number from zero up"),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_is_one_error_that_says_what_and_where(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(AnalysisError, match=problem):
        parse_study(GOOD.replace(old, new), where="mine.toml")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="could not be read"):
        read_study(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(AnalysisError, match="save it as UTF-8"):
        read_study(tmp_path / "bytes.toml")
