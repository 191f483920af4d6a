"""A result is written whole or not at all."""

import os
from pathlib import Path

import pytest

from moexray.errors import MoexrayError
from moexray.files import check_writable, is_lfs_pointer, whole_file


def test_a_block_that_succeeds_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")
    with whole_file(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")

    def fill() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise OSError(28, os.strerror(28))

    with pytest.raises(MoexrayError, match="No space left on device"):
        fill()
    assert path.read_text() == "old"


def test_what_cannot_be_written_later_is_refused_now(tmp_path: Path) -> None:
    with pytest.raises(MoexrayError, match="is a directory"):
        check_writable(tmp_path)
    with pytest.raises(MoexrayError, match="is not a folder"):
        check_writable(tmp_path / "missing" / "out.json")


def test_a_pipe_or_a_device_is_refused_and_stays_what_it_is(tmp_path: Path) -> None:
    """A file that is renamed to it would take its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(MoexrayError, match="is a device or a pipe"), whole_file(pipe) as partial:
        partial.write_text("new")
    assert pipe.is_fifo()


def test_a_pointer_of_git_lfs_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for start, known in (
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", True),
        ("version https://hawser.github.com/spec/v1\n", True),
        ("version 1 of https://git-lfs.github.com/spec/v1", False),
        ("", False),
    ):
        path.write_text(start)
        assert is_lfs_pointer(path) is known
    assert not is_lfs_pointer(tmp_path)
    assert not is_lfs_pointer(tmp_path / "missing")
