"""A table is finished text, which each renderer shows as it is."""

import pytest

from moexray.cli.render import print_table
from moexray.views.markdown import markdown
from moexray.views.tables.table import Column, Table


def test_a_row_that_does_not_fit_its_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="a row has 1 cells for 2 columns"):
        Table("", ["a", "b"], [["only one"]])


def test_control_characters_are_visible_in_titles_headings_and_cells() -> None:
    table = Table("t\x1b", ["c\u202e"], [["a\nb"], [("first\x07", "second")]])
    assert (table.title, table.columns[0].name) == ("t\\x1b", "c\\u202e")
    assert table.rows == (("a\\nb",), ("first\\x07\nsecond",))


def test_a_terminal_shows_a_table_within_its_width_and_breaks_no_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table(Table("title", [Column("n", numeric=True), "words"], [["1,234", "[red] " * 12], ["5", "short"]]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "title"
    assert max(map(len, lines)) <= 30
    assert any(line.split()[:2] == ["1,234", "[red]"] for line in lines)
    assert any(line.split() == ["5", "short"] for line in lines)


def test_columns_close_up_before_they_break_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table(Table("", ["wide"] * 4, [["123456"] * 4]))
    assert "123456 123456 123456 123456" in capsys.readouterr().out


def test_columns_without_names_have_no_heading(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table("", ["", ""], [["effect size", "0.78"], ["p", "0.001"]]))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "effect size  0.78",
        "p            0.001",
    ]


def test_markdown_has_a_row_a_line_and_text_cannot_become_markup() -> None:
    table = Table("of <model>", [Column("p", numeric=True), "name"], [["< 0.001", "a|b [x](http://y) `z` <b>"]])
    assert markdown(table).splitlines() == [
        "**of \\<model>**",
        "",
        "| p | name |",
        "|---:|---|",
        "| < 0.001 | a\\|b [x]\\(http://y) \\`z\\` \\<b> |",
    ]


def test_the_lines_of_a_cell_are_one_line_of_markdown() -> None:
    assert markdown(Table("", ["a"], [[("0.78", "[0.47, 1.09]")]])).splitlines()[-1] == "| 0.78 [0.47, 1.09] |"


def test_long_names_above_numbers_are_broken_and_the_numbers_never(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    names = [f"a long name of category {i}" for i in range(4)]
    print_table(Table("", [Column(name, numeric=True) for name in names], [["0.123", "0.456", "0.789", "0.012"]]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert any(line.split() == ["0.123", "0.456", "0.789", "0.012"] for line in lines)
    assert "…" not in "".join(lines)
