"""Whole files or none: written under a temporary name, renamed when complete; and git-lfs pointers to files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from moexray.errors import MoexrayError

# What stands in an error after the name of a file that `is_lfs_pointer` finds.
LFS_CURE = "is a git-lfs pointer, not the file itself: fetch the file with `git lfs pull` in its repository"
_POINTER_STARTS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")


def is_lfs_pointer(path: Path) -> bool:
    """Whether git-lfs left a pointer where the file should be; False where there is no file that can be read."""
    try:
        if not path.is_file():  # what is read of a pipe is gone
            return False
        with path.open("rb") as file:
            return file.read(max(map(len, _POINTER_STARTS))).startswith(_POINTER_STARTS)
    except OSError:
        return False


def check_writable(path: Path) -> None:
    """Raise before long work what would prevent `path` from being written after it.

    Raises
    ------
    MoexrayError
        If `path` is a directory or a device, or its folder is missing or may not be written to.
    """
    folder = path.parent
    try:
        is_directory, folder_is_there = path.is_dir(), folder.is_dir()
        is_special = path.exists() and not is_directory and not path.is_file()
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise MoexrayError(message) from error
    if is_directory:
        message = f"{path} is a directory: name a file to write"
        raise MoexrayError(message)
    if is_special:  # to rename a file to it would take its place: /dev/null would be an ordinary file from then on
        message = f"{path} is a device or a pipe: name a file to write"
        raise MoexrayError(message)
    if not folder_is_there:
        message = f"{folder} is not a folder: make it first, or write {path.name} elsewhere"
        raise MoexrayError(message)
    if not os.access(folder, os.W_OK):
        message = f"no permission to write in {folder.resolve()}: write {path.name} elsewhere"
        raise MoexrayError(message)


def remove_partials(path: Path) -> None:
    """Delete the temporary files of processes that were killed while they wrote `path`; nobody else may be at it."""
    for partial in path.parent.glob(f".{escape(path.stem)}.*.partial{escape(path.suffix)}"):
        partial.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of the same suffix, that replaces `path` when the block succeeds.

    If the block fails nothing is left behind, and what stood at `path` is untouched.

    Raises
    ------
    MoexrayError
        If the operating system refuses: no permission, no space, no such folder.
    """
    check_writable(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        partial.unlink(missing_ok=True)  # that of a process of the same number that was killed
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except OSError as error:
        message = f"{path} could not be written: {error.strerror or error}"
        raise MoexrayError(message) from error
    finally:
        partial.unlink(missing_ok=True)
