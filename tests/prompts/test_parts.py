"""Images stand in chats as parts of a message, in the spellings that chats are kept in."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.errors import PromptsError
from moexray.prompts import chat_prompt, image_in_bytes, image_in_file, read_prompts

from .pictures import picture, written

TEXT = {"type": "text", "text": "what is it?"}
BASE64 = base64.b64encode(picture(1)).decode()


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def chat(*messages: dict[str, Any], **options: Any) -> Any:
    return chat_prompt(messages, category="c", id="i", **options)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": "a.png"},
        {"type": "image", "url": "a.png", "text": None},
        {"type": "image", "path": "a.png"},
        {"type": "image", "image": {"bytes": None, "path": "a.png"}},
        {"type": "image_url", "image_url": {"url": "a.png"}},
        {"type": "image_url", "image_url": {"url": "a.png", "detail": "auto"}},
        {"type": "image_url", "image_url": "a.png"},
    ],
)
def test_an_image_is_named_in_every_usual_spelling(tmp_path: Path, part: dict[str, Any]) -> None:
    written(tmp_path / "a.png")
    prompt = chat(user(part, TEXT), folder=tmp_path)
    assert prompt.images == (image_in_file(tmp_path / "a.png", name="a.png"),)
    assert prompt.messages == (user({"type": "image"}, TEXT),)
    assert prompt.text == "what is it?"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": picture(1)},
        {"type": "image", "image": {"bytes": picture(1), "path": None}},
        {"type": "image", "base64": BASE64},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}},
    ],
)
def test_an_image_is_given_by_its_bytes(part: dict[str, Any]) -> None:
    prompt = chat(user(TEXT, part))
    assert prompt.images == (image_in_bytes(picture(1)),)
    json.dumps(prompt.messages)  # which a template reads, and which hold no bytes


def test_parts_without_an_image_take_those_of_the_chat_in_order(tmp_path: Path) -> None:
    one, two = image_in_bytes(picture(1)), image_in_bytes(picture(2), name="image 2")
    own = {"type": "image", "image": str(written(tmp_path / "a.png"))}
    between = {"role": "assistant", "content": "a cat"}
    prompt = chat(user({"type": "image"}, own, TEXT), between, user({"type": "image", "text": None}), images=[one, two])
    assert prompt.images == (one, image_in_file(tmp_path / "a.png"), two)
    image = {"type": "image"}
    assert prompt.messages == (user(image, image, TEXT), between, user(image))
    assert prompt.text == "what is it?\n\na cat"


def test_parts_may_be_numbered_from_nought() -> None:
    both = [image_in_bytes(picture(1)), image_in_bytes(picture(2))]
    parts = ({"type": "image", "index": 0}, TEXT, {"type": "image", "index": 1})
    assert chat(user(*parts), images=both).images == tuple(both)
    with pytest.raises(PromptsError, match="an image part with 'index' beside its type"):
        chat(user(*reversed(parts)), images=both)


def test_a_chat_of_texts_alone_is_as_before() -> None:
    assert chat(user(TEXT, TEXT)).messages == ({"role": "user", "content": "what is it?what is it?"},)


@pytest.mark.parametrize("images", [0, 2])
def test_there_are_as_many_images_as_parts_that_take_them(images: int) -> None:
    given = [image_in_bytes(picture(1))] * images
    with pytest.raises(PromptsError, match=f"a chat comes with {images} images, but 1 of its parts are .* put such a"):
        chat(user({"type": "image"}, TEXT), images=given)


def test_images_beside_a_chat_without_a_place_for_them_are_refused() -> None:
    with pytest.raises(PromptsError, match="a chat comes with 1 image, but 0 of its parts"):
        chat({"role": "user", "content": "<image>\nwhat is it?"}, images=[image_in_bytes(picture())])


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"type": "image", "image": "a.png", "max_pixels": 50176}, "an image part with 'max_pixels' beside image"),
        ({"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}}, "with 'detail' beside image_url"),
        ({"type": "image", "image": "a.png", "url": "b.png"}, "with 'url' beside image"),
        ({"type": "image", "image_url": "a.png"}, "an image part with nothing beside image_url"),
        ({"type": "image_url"}, "an image part with nothing beside its type"),
        ({"type": "image_url", "image_url": {}}, 'message 1: "image_url" is None: it must be the path'),
        ({"type": "image", "image": 3}, 'a chat, message 1: "image" is 3: it must be the path'),
        ({"type": "image", "image": "no.png"}, 'a chat, message 1: image "no.png" does not exist'),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "is an address: download the file"),
        ({"type": "image", "base64": "?"}, "message 1: image 1 is a data URI that is not in base64"),
        ({"type": "video", "video": "a.mp4"}, r"neither a text nor an image \(video\)"),
        ({"image": "a.png"}, r"neither a text nor an image \(dict\)"),
    ],
)
def test_a_part_that_is_not_understood_is_refused(part: dict[str, Any], problem: str) -> None:
    with pytest.raises(PromptsError, match=problem):
        chat(user(TEXT, part))


def test_a_relative_path_without_a_folder_is_refused() -> None:
    with pytest.raises(PromptsError, match=r'image "a\.png" is a path without a folder that it is relative to'):
        chat(user(TEXT, {"type": "image", "image": "a.png"}), folder=None)


def test_a_chat_of_images_alone_is_refused() -> None:
    with pytest.raises(PromptsError, match="a chat is empty: none of its messages has a text"):
        chat(user({"type": "image"}), images=[image_in_bytes(picture())])


def test_chats_with_images_are_read_from_lines_and_tables(tmp_path: Path) -> None:
    written(tmp_path / "a.png", seed=1)
    row = {"messages": [user({"type": "image"}, TEXT)], "image": "a.png"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    (prompt,) = read_prompts(tmp_path / "p.jsonl")
    assert prompt.images == (image_in_file(tmp_path / "a.png", name="a.png"),)
    columns = {"messages": [row["messages"]], "images": [[{"bytes": picture(1), "path": "a.png"}]]}
    parquet.write_table(pa.table(columns), tmp_path / "p.parquet")
    (same,) = read_prompts(tmp_path / "p.parquet")
    assert same.messages == prompt.messages == (user({"type": "image"}, TEXT),)
    assert [image.sha256 for image in same.images] == [image.sha256 for image in prompt.images]
