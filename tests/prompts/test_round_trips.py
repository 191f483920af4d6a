"""Any prompt is read from every format as it was written."""

import base64
import csv
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from moexray.formats import in_plain_spelling, is_blank
from moexray.prompts import Prompt, chat_prompt, image_in_bytes, image_in_file, read_prompts

from .pictures import picture, written

# Every character but unpaired surrogates, which UTF-8 cannot hold.
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, min_size=1).filter(lambda text: not is_blank(text))


def apart(prompts: list[Prompt]) -> bool:
    """Whether no two categories differ only in what nobody can see, which is refused."""
    categories = {prompt.category for prompt in prompts}
    return len({in_plain_spelling(category) for category in categories}) == len(categories)


PROMPTS = st.lists(
    st.builds(Prompt, TEXTS, TEXTS, TEXTS, st.none() | TEXTS), min_size=1, max_size=8, unique_by=lambda p: p.id
).filter(apart)


def write_csv(path: Path, prompts: Sequence[Prompt]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "category", "id", "group"])
        writer.writerows([prompt.text, prompt.category, prompt.id, prompt.group] for prompt in prompts)


def write_json(path: Path, prompts: Sequence[Prompt], *, ascii_only: bool = False) -> None:
    entries = [{"text": p.text, "category": p.category, "id": p.id, "group": p.group} for p in prompts]
    lines = [json.dumps(entry, ensure_ascii=ascii_only) for entry in entries]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")


def write_json_in_ascii(path: Path, prompts: Sequence[Prompt]) -> None:
    write_json(path, prompts, ascii_only=True)


def write_parquet(path: Path, prompts: Sequence[Prompt]) -> None:
    columns = {name: [getattr(prompt, name) for prompt in prompts] for name in ("text", "category", "id", "group")}
    parquet.write_table(pa.table({**columns, "group": pa.array(columns["group"], pa.string())}), path)


@pytest.mark.parametrize(
    ("suffix", "write"),
    [(".csv", write_csv), (".jsonl", write_json), (".jsonl", write_json_in_ascii), (".parquet", write_parquet)],
)
@given(prompts=PROMPTS)
def test_prompts_are_read_as_they_were_written(
    suffix: str, write: Callable[[Path, Sequence[Prompt]], None], prompts: list[Prompt]
) -> None:
    if suffix == ".csv":  # A NUL byte there is a sign of another encoding, and refused.
        prompts = [p for p in prompts if "\0" not in f"{p.text}{p.category}{p.id}{p.group}"] or [Prompt("a", "b", "c")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"prompts{suffix}"
        write(path, prompts)
        assert read_prompts(path) == prompts


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r\ufeff"), min_size=1)
                      .filter(lambda text: not is_blank(text)), min_size=1))  # fmt: skip
def test_lines_are_read_as_they_were_written(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_text("\n".join(texts), encoding="utf-8", newline="")
        assert [prompt.text for prompt in read_prompts(path)] == texts


@given(
    contents=st.lists(st.lists(st.text(CHARACTERS), min_size=1, max_size=4), min_size=1, max_size=4).filter(
        lambda chats: all(any(not is_blank(content) for content in chat) for chat in chats)
    )
)
def test_chats_are_read_as_they_were_written(contents: list[list[str]]) -> None:
    roles = ("user", "assistant", "user", "tool")
    chats = [[{"role": r, "content": c} for r, c in zip(roles, chat, strict=False)] for chat in contents]
    expected = [chat_prompt(chat, category="a", id=f"a-{i:02}") for i, chat in enumerate(chats, start=1)]
    with tempfile.TemporaryDirectory() as folder:
        lines, table = Path(folder) / "a.jsonl", Path(folder) / "a.parquet"
        lines.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats), encoding="utf-8")
        parquet.write_table(pa.table({"messages": chats}), table)
        assert read_prompts(lines) == expected
        assert read_prompts(table) == expected
    assert [list(prompt.messages or ()) for prompt in expected] == chats


PICTURES = [picture(seed) for seed in range(4)]


@settings(max_examples=15)
@given(chosen=st.lists(st.lists(st.sampled_from(range(4)), max_size=3), min_size=1, max_size=6))
def test_images_are_read_as_they_were_written(chosen: list[list[int]]) -> None:
    """As bytes in a table, in the text of lines, and as paths."""
    lists = [[PICTURES[one] for one in row] for row in chosen]
    with tempfile.TemporaryDirectory() as folder:
        lines, paths, table = (Path(folder) / name for name in ("a.jsonl", "b.jsonl", "a.parquet"))
        files = [written(Path(folder) / f"{seed}.png", seed).name for seed in range(4)]
        uris = [[f"data:image/png;base64,{base64.b64encode(one).decode()}" for one in row] for row in lists]
        lines.write_text("".join(json.dumps({"text": "x", "images": row}) + "\n" for row in uris))
        paths.write_text(
            "".join(json.dumps({"text": "x", "images": [files[one] for one in row]}) + "\n" for row in chosen)
        )
        parquet.write_table(
            pa.table({"text": ["x"] * len(lists), "images": pa.array(lists, pa.list_(pa.binary()))}), table
        )
        expected = [
            tuple(image_in_bytes(one, name=f"image {i}") for i, one in enumerate(row, start=1)) for row in lists
        ]
        assert [prompt.images for prompt in read_prompts(lines)] == expected
        assert [prompt.images for prompt in read_prompts(table)] == expected
        named = [tuple(image_in_file(Path(folder) / files[one], name=files[one]) for one in row) for row in chosen]
        assert [prompt.images for prompt in read_prompts(paths)] == named
