"""Numbers look the same wherever they are shown, and text from outside cannot hide or move anything."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moexray.formats import count, estimate, interval, listed, number, p_text, p_value, percent, points, visible


@pytest.mark.parametrize(
    ("p", "shown"), [(1 / 10_001, "p < 0.001"), (0.001, "p = 0.001"), (0.25, "p = 0.250"), (None, "p not computed")]
)
def test_a_p_value_is_never_shown_smaller_than_it_is(p: float | None, shown: str) -> None:
    assert p_text(p) == shown


@pytest.mark.parametrize(("p", "shown"), [(0.0001, "< 0.001"), (0.25, "0.250"), (None, "–")])
def test_a_column_of_p_values_leaves_out_the_letter(p: float | None, shown: str) -> None:
    assert p_value(p) == shown


def test_what_is_missing_is_a_dash_and_a_missing_interval_is_nothing() -> None:
    assert number(None) == percent(None) == points(None) == estimate(None, None) == "–"
    assert interval(None) == ""


def test_differences_carry_their_sign() -> None:
    assert number(-0.041, signed=True) == "-0.04"
    assert points(0.1125) == "+11.2"
    assert estimate(-0.41, (-0.65, 0.17), signed=True) == "-0.41 [-0.65, +0.17]"


def test_counts_and_lists_read_as_english() -> None:
    assert [count(n, "claim") for n in (0, 1, 1234)] == ["0 claims", "1 claim", "1,234 claims"]
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


@given(st.text())
def test_shown_text_has_no_character_that_hides_or_moves_text(text: str) -> None:
    categories = {unicodedata.category(letter) for letter in visible(text).replace("\u200c", "").replace("\u200d", "")}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize("text", ["naïve", "שלום", "日本語", "👩‍👩‍👧", "نمی‌خواهم", "a b"])
def test_letters_of_every_script_and_emoji_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


def test_bidirectional_and_control_characters_become_escapes() -> None:
    assert visible("safe\u202etxt.exe") == "safe\\u202etxt.exe"
    assert visible("\x1b]0;title\x07\r\n") == "\\x1b]0;title\\x07\\r\\n"
    assert visible("a\ud800") == "a\\ud800"
    assert visible("a\uffff\U0001fffe\ufdd0") == "a\\uffff\\U0001fffe\\ufdd0"  # no characters; no XML holds U+FFFF
