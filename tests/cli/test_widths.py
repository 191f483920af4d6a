"""Every page fits the screen: no line is longer, no number is broken, and no heading is cut."""

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from rich.cells import cell_len

from moexray.cli.layout import bands, grid_widths
from moexray.cli.render import print_table
from moexray.studies.analysis import analyze
from moexray.views.tables.table import Column, Table

from .. import made

Run = Callable[..., CompletedProcess[str]]
CATEGORIES = (
    "a rather long category name of seven words",
    "Supercalifragilisticexpialidocious_and_no_space_at_all",
    "数学と論理の問題",
    "x",
    "math/algebra/linear-equations/two-variables",
    "코드와 알고리즘",
)
MODEL = "organisation-with-a-long-name/Some-Mixture-of-Experts-235B-A22B-Instruct-2507-FP8"
SHORT = ("--permutations", 9)
RUNS = {
    "analyze": ("analyze", "s.npz", "--trace", "s.trace.parquet", *SHORT, "--folds", 2, "--out", "new.json"),
    "experts": ("experts", "s.npz", *SHORT),
    "an expert": ("experts", "s.npz", "--trace", "s.trace.parquet", *SHORT, "--layer", 1, "--expert", 2),
    "batch": ("batch", "s.npz", "--sizes", "1,4", "--expert-bytes", 123_456_789),
    "cache": ("cache", "s.npz", "--expert-bytes", 123_456_789, "--shared"),
    "place": ("place", "s.npz", "--devices", 2),
    "coverage": ("coverage", "s.npz"),
    "kinds": ("kinds", "s.npz", *SHORT, "--devices", 2),
    "claims": ("claims", "s.npz", "--analysis", "analysis.json"),
    "check": ("check", "s.npz", "--no-model"),
    "info": ("info", "s.npz"),
    "info of an analysis": ("info", "analysis.json"),
    "show": ("show", "とても長い番号のプロンプト0", "s.npz"),
    "show an expert": ("show", "とても長い番号のプロンプト0", "s.npz", "--expert", 2),
    "pool": ("pool", "s.npz", "other.npz", *SHORT),
    "compare": ("compare", "s.npz", "s.npz", *SHORT),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signatures and a trace with names that are hard to fit."""
    folder = tmp_path_factory.mktemp("widths")
    plain = made.trace(
        folder / "plain.parquet", prompts=24, groups=[f"a group with a long name {i % 6}" for i in range(24)]
    )
    names = {
        old: f"とても長い番号のプロンプト{i}" if i % 2 == 0 else f"{'a-very-long-id-' * 5}{i}"
        for i, old in enumerate(plain.prompts.ids)
    }
    found = plain.replace(
        ids=tuple(names.values()),
        categories=tuple(CATEGORIES[i % len(CATEGORIES)] for i in range(24)),
        meta={"model": MODEL},
    )
    found.save(folder / "s.npz")
    found.replace(meta={"model": f"{MODEL} again"}).save(folder / "other.npz")
    made.change_trace(
        folder / "plain.parquet",
        folder / "s.trace.parquet",
        prompt=names.__getitem__,
        token=lambda one: "漢字と仮名" if one.endswith("1") else f" {one * 12}",
    )
    analyze(found, permutations=9, folds=2).save(folder / "analysis.json")
    return folder


@pytest.mark.parametrize("case", RUNS)
def test_every_page_fits_a_narrow_screen_and_cuts_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.chdir(folder)
    finished = run(*RUNS[case])
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert [line for line in lines if cell_len(line) > 60 and not line.startswith("wrote ")] == []
    assert "…" not in finished.stdout
    if case != "pool":  # there, other columns stand between the lines of the name
        assert MODEL in "".join(finished.stdout.split())


def test_all_of_a_wide_table_is_there_in_parts_under_the_same_first_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    names = ["layer", *(f"name {i}" for i in range(9))]
    rows = [[str(row), *(f"{row}{i}345678" for i in range(9))] for row in range(3)]
    print_table(Table("title", [Column(name, numeric=True) for name in names], rows))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 40
    assert printed.count("title") == 1
    assert printed.count("layer") == 3
    assert sorted(re.findall(r"\d{7,}", printed)) == sorted(cell for row in rows for cell in row[1:])


@pytest.mark.parametrize("columns", ["0", "1", "5", "20"])
def test_no_screen_is_too_narrow_for_a_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(Table("", ["", ""], [["prompts", "1,234"]]))
    print_table(Table("", [Column("d", numeric=True), Column("p", numeric=True)], [["-0.41", "0.003"]]))
    assert {"prompts", "1,234", "-0.41", "0.003"} <= set(capsys.readouterr().out.split())


def test_an_interval_stays_beside_its_value_and_keys_come_again() -> None:
    names = ("layer", "kind", "d", "95 %", "load", "even", "both")
    columns = [Column(name, numeric=True, key=name in names[:2], beside=name in names[5:]) for name in names]
    table = Table("", columns, [["12345678"] * 7])
    parts = [[names[place] for place in band.places] for band in bands(table, 50, len)]
    assert parts == [["layer", "kind", "d", "95 %"], ["layer", "kind", "load", "even", "both"]]


@pytest.mark.parametrize(("word", "parts"), [("数学と論理の問題を解く", 1), ("unbreakable-of-22-cells", 2)])
def test_words_of_letters_that_take_two_cells_are_broken_sooner(word: str, parts: int) -> None:
    """Three such letters stand in a column of six cells, where a word of others needs twelve."""
    table = Table("", [Column("n"), Column("d", numeric=True), Column("w")], [["1", "12345678", word]])
    assert len(list(bands(table, 19, cell_len))) == parts


def test_columns_fill_a_narrow_screen_and_the_widest_gives_first() -> None:
    """With a border at each end of close columns and between them, or with a gap where there are no headings."""
    names, words = ("n", "a", "b"), ("aa bb cc dd ee", "one two three four five six", "x y")
    (band,) = bands(Table("", names, [words]), 30, len)
    assert (band.widths, band.close) == ((12, 11, 3), True)
    assert sum(band.widths) + len(words) + 1 == 30
    assert grid_widths(Table("", ["", ""], [[words[1] * 2, words[1] * 2]]), 30, 2, len) == [14, 14]


def test_what_says_what_a_row_is_keeps_a_third_of_a_screen_that_is_too_narrow() -> None:
    columns = [Column("name"), *(Column(one, numeric=True) for one in "abc")]
    row = ["two words of a name", "1" * 8, "1" * 10, "1" * 15]
    parts = list(bands(Table("", columns, [row]), 30, len))
    assert [band.places for band in parts] == [(0, 1), (0, 2), (0, 3)]
    assert all(band.widths[0] >= 10 for band in parts)


@pytest.mark.parametrize("width", [1, 8, 20])
def test_a_screen_that_nothing_fits_gets_all_of_it_anyway(width: int) -> None:
    table = Table("", [Column("first", whole=True), Column("number", numeric=True)], [["unbreakable", "12345678"]])
    found = list(bands(table, width, len))
    assert {place for band in found for place in band.places} == {0, 1}
    assert all(wide > 0 for band in found for wide in band.widths)


def test_columns_are_as_wide_as_their_cells_on_the_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters of Chinese, Japanese and Korean take two cells, and may be broken between any two."""
    monkeypatch.setenv("COLUMNS", "30")
    print_table(
        Table("", [Column(name, numeric=True) for name in ("数学と論理の問題", "日本語の物語")], [["0.123", "0.45"]])
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 30
    assert "数学と論理の問題" in "".join("".join(lines).split("日本語の物語")).replace(" ", "")
