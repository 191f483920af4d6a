"""JSON Lines, from a file or standard input, and CSV: read as others write them, or refused with line or row."""

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from moexray.errors import PromptsError
from moexray.prompts import Prompt, read_prompts

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a text into standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_whole_numbers_and_truth_values_label_as_they_are_written(write: Write) -> None:
    file = write("a.jsonl", '{"text": "x", "id": 7, "label": true, "group": null}\n{"text": "y", "label": -1}')
    assert read_prompts(file) == [Prompt("x", "true", "7"), Prompt("y", "-1", "a-02")]


def test_once_a_key_is_named_those_that_were_not_are_left(write: Write) -> None:
    file = write("a.jsonl", '{"question": "x", "answer": 3, "label": "y"}')
    assert read_prompts(file, text_column="question") == [Prompt("x", "y", "a-01")]


def test_a_nul_that_is_meant_is_read(write: Write) -> None:
    assert read_prompts(write("a.jsonl", r'{"text": "a\u0000b"}'))[0].text == "a\0b"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (r'{"text": "a\ud800b"}', r'line 1: "text" holds an unpaired surrogate'),
        (r'{"text": "a", "id": "\udfff"}', r'line 1: "id" holds an unpaired surrogate'),
        ('{"text": "a", "id": 1.5}', r'line 1: "id" is 1\.5'),
        ('{"text": "a", "label": ["b"]}', r"line 1: \"label\" is \['b'\]"),
        ('{"text": "a", "prompt": "b"}', r'line 1 has "text" and "prompt": which holds the text'),
        ('{"text": "a", "n": ' + "1" * 5000 + "}", r"line 1 cannot be read as JSON"),
        ("[" * 200_000, r"line 1 cannot be read as JSON"),
        ('{"text": "a", "score": 1}', r"to read some keys of many, name them: --text-column text"),
        (b'{"text": "a\0"}', r"line 1 holds a NUL byte"),
    ],
)
def test_a_malformed_line_of_json_is_refused_with_its_number(write: Write, content: str | bytes, problem: str) -> None:
    with pytest.raises(PromptsError, match=problem):
        read_prompts(write("a.jsonl", content))


def test_a_key_that_a_line_lacks_is_refused_with_those_that_it_has(write: Write) -> None:
    file = write("a.jsonl", '{"text": "x", "topic": "y"}\n{"text": "z", "kind": "y"}')
    with pytest.raises(PromptsError, match=r'line 2 has no "topic": it has "text" and "kind"'):
        read_prompts(file, category_column="topic")


def test_standard_input_is_read_like_a_file(piped: Callable[[str], None], write: Write) -> None:
    piped('\ufeff{"text": "x", "category": "math"}\r\n{"text": "y"}\r\n')
    other = write("more.txt", "z")
    assert read_prompts("-", other) == [
        Prompt("x", "math", "stdin-01"),
        Prompt("y", "stdin", "stdin-02"),
        Prompt("z", "more", "more-01"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "standard input is empty"), ("plain\n", r"standard input line 1 is not JSON")],
)
def test_standard_input_that_holds_no_prompts_is_refused(piped: Callable[[str], None], text: str, problem: str) -> None:
    piped(text)
    with pytest.raises(PromptsError, match=problem):
        read_prompts("-")


def test_standard_input_that_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(PromptsError, match="standard input is closed"):
        read_prompts("-")


def test_plain_text_has_no_columns(write: Write) -> None:
    with pytest.raises(PromptsError, match=r'a\.txt is plain text and has no column "q": leave --text-column out'):
        read_prompts(write("a.txt", "x"), text_column="q")


def test_a_chat_is_a_line_like_any_other(write: Write) -> None:
    messages = [{"role": "user", "content": "x"}]
    file = write("a.jsonl", json.dumps({"messages": messages, "label": "math"}))
    (prompt,) = read_prompts(file)
    assert (prompt.text, prompt.category, prompt.id, prompt.messages) == ("x", "math", "a-01", tuple(messages))


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
        ('text\nx\n"y\nz\n', r"line 3 begins a row that is not CSV"),
        ('text\n"x" y\n', r"line 2 begins a row that is not CSV"),
        ("text\rx\ry\r", r"line 1 begins a row that is not CSV: a carriage return alone ends no line"),
        ("text\nx\ny\rz\n", r"line 3 begins a row that is not CSV: a carriage return alone ends no line"),
        ('text,n\n"a ""b"" c",1\n5" pipe,2\n', r"line 3 has a quote inside of a value without quotes"),
        ('text,n\n"a\nb ""c""",1\nd,"e ""f"""\nd,e"f"\n', r"line 5 has a quote inside of a value without quotes"),
    ],
)
def test_a_malformed_row_of_csv_is_refused_with_its_place(write: Write, content: str | bytes, problem: str) -> None:
    with pytest.raises(PromptsError, match=problem):
        read_prompts(write("a.csv", content))


@pytest.mark.parametrize("column", ["text", None])
def test_two_columns_of_one_name_are_refused_though_it_was_asked_for(write: Write, column: str | None) -> None:
    with pytest.raises(PromptsError, match=r'a\.csv has 2 columns called "text": which holds the text\? Rename'):
        read_prompts(write("a.csv", "text,text\nx,y\n"), text_column=column)
    with pytest.raises(PromptsError, match=r'a\.csv has 2 columns called "kind": which holds the category\?'):
        read_prompts(write("a.csv", "kind,text,kind\nx,y,z\n"), category_column="kind")
    assert read_prompts(write("a.csv", "n,text,n\n1,x,2\n"))[0].text == "x"


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
