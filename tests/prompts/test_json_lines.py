"""JSON Lines, in a file or from standard input."""

import io
import json
import sys
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
        (r'{"text": "a\ud800b"}', r'line 1: "text" holds half a character'),
        (r'{"text": "a", "id": "\udfff"}', r'line 1: "id" holds half a character'),
        ('{"text": "a", "id": 1.5}', r'line 1: "id" is 1\.5'),
        ('{"text": "a", "label": ["b"]}', r"line 1: \"label\" is \['b'\]"),
        ('{"text": "a", "prompt": "b"}', r'line 1 has "text" and "prompt": which holds the text'),
        ('{"text": "a", "n": ' + "1" * 5000 + "}", r"line 1 cannot be read as JSON"),
        ("[" * 200_000, r"line 1 cannot be read as JSON"),
        ('{"text": "a", "score": 1}', r"to read some keys of many, name them: --text-column text"),
        (b'{"text": "a\0"}', r"line 1 holds a NUL byte"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused_with_its_line(write: Write, content: str | bytes, problem: str) -> None:
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


def test_plain_text_has_no_columns(write: Write) -> None:
    with pytest.raises(PromptsError, match=r'a\.txt has no column "q", being plain text: leave --text-column out'):
        read_prompts(write("a.txt", "x"), text_column="q")


def test_a_chat_is_a_line_like_any_other(write: Write) -> None:
    messages = [{"role": "user", "content": "x"}]
    file = write("a.jsonl", json.dumps({"messages": messages, "label": "math"}))
    (prompt,) = read_prompts(file)
    assert (prompt.text, prompt.category, prompt.id, prompt.messages) == ("x", "math", "a-01", tuple(messages))
