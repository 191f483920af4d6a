"""Prompts are read as they were written, or refused with file and line."""

import json
import os
import unicodedata
from importlib import import_module
from pathlib import Path

import pytest

from moexray.errors import PromptsError
from moexray.prompts import Prompt, left_out, read_prompts
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
        ("a.txt", "one\rtwo\rthree\r", r"a\.txt line 1 holds a carriage return that ends no line"),
        ("a.txt", "one\ntwo\r\r\n", r"a\.txt line 2 holds a carriage return that ends no line"),
        ("a.jsonl", '{"text": "x"}\r{"text": "y"}\r', r"line 1 is not JSON .*carriage returns alone end no line"),
        ("a.jsonl", '{"text": "x", "text": "y"}', r"line 1 cannot be read as JSON \(the key 'text' is there twice\)"),
        ("a.jsonl", '{"messages": [{"role": "user", "role": "system", "content": "x"}]}', "key 'role' is there twice"),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "y", "label": "1"}', "line 2: the category 1 is a text in"),
        ("a.jsonl", '{"text": "x", "label": "true"}\n{"text": "y", "label": true}', "line 2: the category true is a"),
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
    with pytest.raises(PromptsError, match="one of the names of prompts is empty"):
        read_prompts(write(tmp_path / "a.txt", "one"), "")


def test_suffixes_in_capitals_are_those_of_prompts(tmp_path: Path) -> None:
    write(tmp_path / "code.txt", "one")
    write(tmp_path / "MATH.TXT", "two")
    write(tmp_path / "Story.Jsonl", '{"text": "three"}')
    write(tmp_path / "facts.CSV", "text\nfour\n")
    found = read_prompts(tmp_path)
    assert {prompt.category: prompt.text for prompt in found} == {
        "MATH": "two", "Story": "three", "code": "one", "facts": "four"
    }  # fmt: skip
    assert read_prompts(tmp_path / "facts.CSV")[0].id == "facts-01"


def test_what_a_folder_holds_beside_prompts_is_named(tmp_path: Path) -> None:
    for name in ("code.txt", "code.tsv", "notes.md", ".hidden", "sub/code.txt"):
        write(tmp_path / name, "x")
    assert [path.name for path in left_out(tmp_path, tmp_path / "code.txt")] == ["code.tsv", "notes.md", "sub"]


def test_a_link_to_nothing_is_refused_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "code.txt", "one")
    (tmp_path / "math.txt").symlink_to("moved.txt")
    for path in (tmp_path, tmp_path / "math.txt"):
        with pytest.raises(PromptsError, match=r"math\.txt is a link to moved\.txt, which does not exist"):
            read_prompts(path)


def test_a_pipe_in_a_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "code.txt", "one")
    os.mkfifo(tmp_path / "math.txt")
    with pytest.raises(PromptsError, match=r"math\.txt is a device or a pipe"):
        read_prompts(tmp_path)


def test_what_macos_keeps_beside_a_file_is_left_aside(tmp_path: Path) -> None:
    write(tmp_path / "code.txt", "one")
    write(tmp_path / "._code.txt", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
    write(tmp_path / "._mine.txt", "a file of prompts of that name")
    assert [prompt.category for prompt in read_prompts(tmp_path)] == ["._mine", "code"]
    with pytest.raises(PromptsError, match="what macOS keeps beside a file"):
        read_prompts(tmp_path / "._code.txt")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.parquet"])
def test_a_pointer_of_git_lfs_is_named_in_every_format(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 3000\n")
    with pytest.raises(PromptsError, match=r"is a git-lfs pointer, .* `git lfs pull`"):
        read_prompts(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("code", "code "),
        ("größe", unicodedata.normalize("NFD", "größe")),
        ("code", "co\u200bde"),
        ("code", "code\u202e"),
        ("code", "\x1bcode"),
        ("short story", "short\xa0story"),
        ("short story", "short  story"),
    ],
)
def test_categories_that_look_alike_and_are_not_are_refused(tmp_path: Path, one: str, other: str) -> None:
    lines = [json.dumps({"text": f"x{i}", "category": name}) for i, name in enumerate((one, "math", other))]
    with pytest.raises(PromptsError, match=r"a\.jsonl line 3: the category .* looks like"):
        read_prompts(write(tmp_path / "a.jsonl", "\n".join(lines)))


def test_categories_that_differ_in_capitals_are_two(tmp_path: Path) -> None:
    lines = [json.dumps({"text": name, "category": name}) for name in ("us", "US")]
    assert [prompt.category for prompt in read_prompts(write(tmp_path / "a.jsonl", "\n".join(lines)))] == ["us", "US"]


def test_every_format_has_a_reader_that_exists() -> None:
    for suffix, (unit, reader) in READERS.items():
        module, _, name = reader.partition(":")
        assert callable(getattr(import_module(module), name)), suffix
        assert unit in {"line", "row"}
