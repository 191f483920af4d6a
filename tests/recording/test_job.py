"""A job knows its prompts again by a digest of everything that decides what is recorded of them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt, PromptImage, chat_prompt
from moexray.recording.job import Job

IMAGE = PromptImage("a.png", "0" * 64, 6, 4, path=Path("/pictures/a.png"))


def digest(*prompts: Prompt) -> str:
    return Job(prompts, Generation()).digest


def test_without_images_the_digest_is_that_of_journals_written_before_there_were_any() -> None:
    prompts = [chat_prompt([{"role": "user", "content": "x"}], category="c", id="i"), Prompt("y", "c", "j", "g")]
    names = ("text", "category", "id", "group", "messages", "output")
    written = "".join(json.dumps({name: getattr(prompt, name) for name in names}) for prompt in prompts)
    assert digest(*prompts) == hashlib.sha256(written.encode()).hexdigest()


def test_the_digest_tells_images_apart_by_name_content_and_order_and_not_by_folder() -> None:
    prompt, other = Prompt("x", "c", "i", images=(IMAGE,)), replace(IMAGE, sha256="1" * 64)
    different = [(), (other,), (IMAGE, other), (other, IMAGE), (replace(IMAGE, name="b.png"),)]
    found = [digest(prompt), *(digest(replace(prompt, images=images)) for images in different)]
    assert len(set(found)) == len(found)
    moved = replace(IMAGE, path=Path("/elsewhere/a.png"))
    assert digest(replace(prompt, images=(moved,))) == digest(prompt)


def test_images_are_images_and_a_chat_has_a_place_for_each() -> None:
    content = [{"type": "image"}, {"type": "text", "text": "x"}]
    chat = Prompt("x", "c", "i", messages=({"role": "user", "content": content},), images=(IMAGE,))
    assert Job([chat], Generation()).prompts == [chat]
    with pytest.raises(
        CaptureError, match=r"prompt 'i' has 'a\.png' among its images: make one of it with `image_in_f"
    ):
        Job([replace(chat, images=("a.png",))], Generation())  # type: ignore[arg-type]
    for images in ((), (IMAGE, IMAGE)):
        with pytest.raises(CaptureError, match=f"prompt 'i' has {len(images)} images, but 1 of the parts of its mess"):
            Job([replace(chat, images=images)], Generation())
    with pytest.raises(CaptureError, match="has 1 image, but 0 of the parts"):
        Job([replace(chat, messages=({"role": "user", "content": "x"},))], Generation())
