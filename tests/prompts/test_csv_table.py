"""CSV files are read as spreadsheets and scripts write them, or refused with row or line."""

import csv
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from moexray.errors import PromptsError
from moexray.prompts import Prompt, read_prompts

Write = Callable[[str, str | bytes], Path]


def test_columns_of_the_usual_names_are_found_and_others_are_left(write: Write) -> None:
    file = write("a.csv", "score,prompt,label,id,group\n3,one,math,x,sums\n4,two,code,y,\n")
    assert read_prompts(file) == [Prompt("one", "math", "x", "sums"), Prompt("two", "code", "y")]


def test_without_a_category_it_is_the_files_name_and_rows_are_counted_below_the_header(write: Write) -> None:
    file = write("story.csv", "text\nonce\nupon\n")
    assert read_prompts(file) == [Prompt("once", "story", "story-01"), Prompt("upon", "story", "story-02")]


def test_columns_of_any_name_can_be_named(write: Write) -> None:
    file = write("a.csv", "question,topic,key,source,text\nwhy?,physics,7,book,no\n")
    found = read_prompts(file, text_column="question", category_column="topic", id_column="key", group_column="source")
    assert found == [Prompt("why?", "physics", "7", "book")]


def test_usual_names_are_known_with_capitals_and_spaces(write: Write) -> None:
    file = write("a.csv", "Text, Label ,ID\none,math,x\n")
    assert read_prompts(file) == [Prompt("one", "math", "x")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_quoted_values_hold_commas_quotes_and_line_ends_whatever_system_wrote_them(
    write: Write, end: str, mark: bytes
) -> None:
    rows = ["text,category", f'"a, ""b"" {end}{end}c",math', "d,code"]
    file = write("a.csv", mark + end.join(rows).encode())
    assert [(p.text, p.category) for p in read_prompts(file)] == [(f'a, "b" {end}{end}c', "math"), ("d", "code")]


def test_a_value_may_be_longer_than_the_csv_modules_own_limit(write: Write) -> None:
    before = csv.field_size_limit()
    long = "word " * 100_000
    assert read_prompts(write("a.csv", f"text\n{long}\n"))[0].text == long
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", r"a\.csv is empty"),
        ("text,category\n", r"a\.csv is empty: there must be a prompt on each row"),
        ("texts,kind\nx,y\n", r'a\.csv has no "text", "prompt" or "messages": it has "texts" and "kind"'),
        ("text;category\nx;y\n", r'it has "text;category"'),
        ("text,prompt\nx,y\n", r'has "text" and "prompt": which holds the text\? Name it with --text-column'),
        ("text,category,label\nx,y,z\n", r'has "category" and "label": which holds the category\?'),
        ("text,category\nx,y\nz\n", r"row 2 \(line 3\) has 1 values, but the header names 2"),
        ('text,category\n"x\ny",z\na, b,c\n', r"row 2 \(line 4\) has 3 values"),
        ("text,category\nx,y\n,z\n", r'row 2: "text" is \'\''),
        ("text,category\nx,y\nz, \n", r'row 2: "category" is \' \''),
        ("text,id\nx,\n", r'row 1: "id" is \'\''),
        ("text,id\nx,1\ny,1\n", r"a\.csv row 2: the id '1' is already taken by .*a\.csv row 1"),
        ("text,category\nx,y\n\nz,y\n", r"line 3 is empty"),
        (b"text\nx\ncaf\xe9\n", r"line 3 is not UTF-8 \(byte 4"),
        (b"text\nx\0y\n", r"line 2 holds a NUL byte"),
        ("text\nx\n".encode("utf-16"), r"line 1 is not UTF-8"),
        ("text\nx\n".encode("utf-16-le"), r"line 1 holds a NUL byte, as UTF-16 does"),
        ('text\nx\n"y\nz\n', r"line 3 begins a row that is no CSV"),
        ('text\n"x" y\n', r"line 2 begins a row that is no CSV"),
        ("text\rx\ry\r", r"line 1 begins a row that is no CSV"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(write: Write, content: str | bytes, problem: str) -> None:
    with pytest.raises(PromptsError, match=problem):
        read_prompts(write("a.csv", content))


def test_a_column_that_is_not_there_is_refused_with_those_that_are(write: Write) -> None:
    with pytest.raises(PromptsError, match=r'a\.csv has no "topic": it has "text" and "kind"'):
        read_prompts(write("a.csv", "text,kind\nx,y\n"), category_column="topic")


@pytest.mark.parametrize(("name", "row"), [("a.csv", '"{0}","{1}"\n'), ("a.jsonl", '{{"text": "{0}", "x": "{1}"}}\n')])
def test_what_is_no_part_of_a_prompt_is_not_held(tmp_path: Path, name: str, row: str) -> None:
    """Forty megabytes beside two thousand short texts."""
    file = tmp_path / name
    with file.open("w", encoding="utf-8") as opened:
        opened.write("text,x\n" if name == "a.csv" else "")
        opened.writelines(row.format(f"prompt {i}", "x" * 20_000) for i in range(2000))
    tracemalloc.start()
    try:
        assert len(read_prompts(file, text_column="text")) == 2000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
