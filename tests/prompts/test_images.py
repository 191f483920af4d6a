"""An image of a prompt is checked when it is read, and decoded again when it runs."""

import hashlib
import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moexray.errors import PromptsError
from moexray.prompts import Prompt, PromptImage, image_in_bytes, image_in_file, opened

from .pictures import SIZE, picture, pixels, written


def test_an_image_in_a_file_is_its_name_its_digest_and_its_size(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png")
    image = image_in_file(file, name="a.png")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert image == PromptImage("a.png", digest, *SIZE, path=file)
    assert np.array_equal(np.asarray(opened(image)), pixels())


def test_the_path_is_absolute_since_another_process_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "pictures" / "a.png")
    monkeypatch.chdir(tmp_path)
    image = image_in_file("pictures/a.png")
    monkeypatch.chdir("/")
    assert (image.name, image.path) == ("pictures/a.png", tmp_path / "pictures" / "a.png")
    assert opened(image).size == SIZE


def test_an_image_in_bytes_keeps_them_and_does_not_show_them() -> None:
    image = image_in_bytes(picture(), name="image 2")
    assert image.data == picture()
    assert "data" not in repr(image)
    assert np.array_equal(np.asarray(opened(image)), pixels())


def test_a_prompt_with_images_can_be_sent_to_another_process(tmp_path: Path) -> None:
    images = (image_in_file(written(tmp_path / "a.png")), image_in_bytes(picture(1)))
    prompt = Prompt("x", "c", "i", images=images)
    assert pickle.loads(pickle.dumps(prompt)) == prompt
    assert len({prompt, Prompt("x", "c", "i", images=images), Prompt("x", "c", "i")}) == 2


def test_an_image_lies_in_a_file_or_in_bytes() -> None:
    image = image_in_bytes(picture())
    for wrong in ({"data": None}, {"path": Path("a.png")}):
        with pytest.raises(PromptsError, match="image 'image 1' must have a path or data"):
            replace(image, **wrong)


def test_a_name_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    file.write_bytes(picture())
    with pytest.raises(PromptsError, match=r"^the name of image '.*caf\\udce9\.png' cannot be written as UTF-8"):
        image_in_file(file)
    assert image_in_file(file, name="cafe.png").path == file


def test_an_image_that_changed_or_went_away_is_refused_when_it_runs(tmp_path: Path) -> None:
    image = image_in_file(written(tmp_path / "a.png"), name="a.png")
    written(tmp_path / "a.png", seed=1)
    with pytest.raises(PromptsError, match=r'^image "a\.png" has changed since it was read'):
        opened(image)
    (tmp_path / "a.png").unlink()
    with pytest.raises(PromptsError, match=r'^image "a\.png" does not exist'):
        opened(image)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.png", "does not exist: there is no {folder}/missing.png"),
        ("", "is not a file ({folder})"),
        ("empty.png", "is empty"),
        ("a.txt", "is not an image, or not of a format that is read: save it as PNG, JPEG"),
        ("a\0b.png", "could not be read: "),
        ("x" * 300, "could not be read: File name too long"),
    ],
)
def test_what_is_no_image_is_refused_with_its_place(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "a.txt").write_text("a secret")
    expected = re.escape(f'p.jsonl line 3: image "x.png" {problem.format(folder=tmp_path)}')
    with pytest.raises(PromptsError, match=f"^{expected}"):
        image_in_file(tmp_path / name, name="x.png", place="p.jsonl line 3")


def test_a_device_is_not_read() -> None:
    with pytest.raises(PromptsError, match=r'^image "/dev/zero" is not a file'):
        image_in_file("/dev/zero")


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="only Linux has files of the system")
def test_a_file_of_the_system_whose_size_is_nothing_is_not_read() -> None:
    """Whoever reads another one of these, /proc/kmsg, waits for ever."""
    with pytest.raises(PromptsError, match=r'^image "/proc/version" is empty'):
        image_in_file("/proc/version")
