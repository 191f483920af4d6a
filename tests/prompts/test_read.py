"""Prompts are read as they were written, or refused with file and line."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from moexray.errors import PromptsError
from moexray.prompts import Prompt, read_prompts
from moexray.prompts.read import READERS


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_folder_of_text_files_is_read_in_the_order_of_names_and_lines(tmp_path: Path) -> None:
    write(tmp_path / "math.txt", "one and one\ntwo and two\n")
    write(tmp_path / "code.txt", "def f\n")
    write(tmp_path / "notes.md", "not a prompt")
    write(tmp_path / "sub" / "story.txt", "not read")
    assert read_prompts(tmp_path) == [
        Prompt("def f", "code", "code-01"),
        Prompt("one and one", "math", "math-01"),
        Prompt("two and two", "math", "math-02"),
    ]


def test_a_line_keeps_its_own_spaces_and_characters(tmp_path: Path) -> None:
    prompts = read_prompts(write(tmp_path / "code.txt", "  indented \u2028\x0b\tand more \nnext"))
    assert [prompt.text for prompt in prompts] == ["  indented \u2028\x0b\tand more ", "next"]


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfone\r\ntwo\r\n", b"one\r\ntwo", b"one\ntwo\n", b"\xef\xbb\xbfone\ntwo"]
)
def test_marks_and_line_endings_of_other_systems_are_not_part_of_a_prompt(tmp_path: Path, content: bytes) -> None:
    assert [prompt.text for prompt in read_prompts(write(tmp_path / "a.txt", content))] == ["one", "two"]


def test_json_lines_carry_category_id_and_group_or_take_them_from_the_file(tmp_path: Path) -> None:
    lines = [{"text": "a\nb"}, {"text": "c", "category": "math", "id": "mine", "group": "sums"}]
    file = write(tmp_path / "mixed.jsonl", "\n".join(map(json.dumps, lines)))
    assert read_prompts(file) == [Prompt("a\nb", "mixed", "mixed-01"), Prompt("c", "math", "mine", "sums")]


def test_several_paths_are_read_in_the_order_given(tmp_path: Path) -> None:
    first, second = write(tmp_path / "z.txt", "1"), write(tmp_path / "a.jsonl", '{"text": "2"}')
    assert [prompt.text for prompt in read_prompts(first, second)] == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", "one\n\ntwo\n", r"a\.txt line 2 is empty"),
        ("a.txt", "one\n  \n", r"a\.txt line 2 is empty"),
        ("a.txt", "one\n\n", r"a\.txt line 2 is empty"),
        ("a.txt", "", r"a\.txt is empty"),
        ("a.txt", "\n\n", r"a\.txt is empty"),
        ("a.txt", b"one\ntw\xff\n", r"a\.txt line 2 is not UTF-8 \(byte 3"),
        ("a.txt", "o\0n\0e\0".encode("utf-16"), r"a\.txt line 1 is not UTF-8"),
        ("a.jsonl", '{"text": "x"}\n{"text"', r"a\.jsonl line 2 is not JSON"),
        ("a.jsonl", '{"text": "x"}\n\n{"text": "y"}', r"a\.jsonl line 2 is empty"),
        ("a.jsonl", '["x"]', r"a\.jsonl line 1 holds list"),
        ("a.jsonl", '{"category": "x"}', r'line 1 has no "text"'),
        ("a.jsonl", '{"text": " "}', r'line 1: "text" is \' \''),
        ("a.jsonl", '{"text": 7}', r'line 1: "text" is 7'),
        ("a.jsonl", '{"text": "x", "category": null}', r'line 1: "category" is None'),
        ("a.jsonl", '{"text": "x", "catgory": "y"}', r'line 1 has an unknown key "catgory"'),
        (
            "a.jsonl",
            '{"text": "x", "id": "i"}\n{"text": "y", "id": "i"}',
            r"line 2: the id 'i' is already taken by .* line 1",
        ),
        ("a.docx", "text", "neither a folder nor"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    with pytest.raises(PromptsError, match=problem):
        read_prompts(write(tmp_path / name, content))


def test_files_of_one_name_in_two_folders_collide_by_their_ids(tmp_path: Path) -> None:
    write(tmp_path / "x" / "a.txt", "one")
    write(tmp_path / "y" / "a.txt", "two")
    with pytest.raises(PromptsError, match="already taken"):
        read_prompts(tmp_path / "x", tmp_path / "y")


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match=r"holds no \.txt"):
        read_prompts(tmp_path)
    with pytest.raises(PromptsError, match="does not exist"):
        read_prompts(tmp_path / "missing")
    with pytest.raises(PromptsError, match="no prompts were named"):
        read_prompts()


def test_every_format_has_a_reader_that_exists() -> None:
    for suffix, (unit, reader) in READERS.items():
        module, _, name = reader.partition(":")
        assert callable(getattr(import_module(module), name)), suffix
        assert unit in {"line", "row"}
