"""What a command prints where the encoding of standard output lacks a character."""

import io
import json
import sys

import pytest

from moexray.cli.encoded import spell_out
from moexray.cli.render import print_json, print_table
from moexray.views.tables.table import Column, Table

VALUES = {"–": "naïve – 数 🙂"}


def written(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    spell_out()
    return raw


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "-0.41 ± 0.05 – × ≤ 数"),
        ("latin-1", "-0.41 ± 0.05 - × <= \\u6570"),
        ("cp1252", "-0.41 ± 0.05 – × <= \\u6570"),
        ("ascii", "-0.41 +- 0.05 - x <= \\u6570"),
    ],
)
def test_a_table_is_printed_whole_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    raw = written(monkeypatch, encoding)
    print_table(Table("", [Column("d")], [["-0.41 ± 0.05 – × ≤ 数"]]))
    assert shown in raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "ascii"])
def test_json_holds_the_same_values_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = written(monkeypatch, encoding)
    print_json(VALUES)
    assert json.loads(raw.getvalue().decode(encoding)) == VALUES
