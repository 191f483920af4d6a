"""Whole files or none: written under a temporary name, renamed when complete; and git-lfs pointers to files."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moexray.errors import MoexrayError

# What stands in an error after the name of a file that `is_lfs_pointer` finds.
LFS_CURE = "is a git-lfs pointer, not the file itself: fetch the file with `git lfs pull` in its repository"
_POINTER_STARTS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
# What is written beside signatures has their name without this.
_SIGNATURES = ".npz"


def is_lfs_pointer(path: Path) -> bool:
    """Whether git-lfs left a pointer where the file should be; False where there is no file that can be read."""
    try:
        if not path.is_file():  # what is read of a pipe is gone
            return False
        with path.open("rb") as file:
            return file.read(max(map(len, _POINTER_STARTS))).startswith(_POINTER_STARTS)
    except OSError:
        return False


def target_of(path: Path) -> Path:
    """Return the file that `path` leads to: a link stays, and what it points to is written, there or not yet.

    Raises
    ------
    MoexrayError
        If links go round in a circle, or cannot be followed.
    """
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        goes_on = target.is_symlink()
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise MoexrayError(message) from error
    if goes_on:
        message = f"{path} is a link that leads back to itself: name a file to write"
        raise MoexrayError(message)
    return target


def check_writable(path: Path) -> None:
    """Raise before long work what would prevent `path` from being written after it.

    Only an ordinary file is ever replaced: to rename a file to a device or a pipe would take its place.

    Raises
    ------
    MoexrayError
        If `path` is or leads to a directory, device, pipe or socket, or its folder is missing or may not be written to.
    """
    target = target_of(path)
    named = f"{path}" if target == path else f"{path}, a link to {target},"
    if not target.name:  # "", "." and "/" name no file, and there is no temporary name beside them
        message = f"{named} is a directory: name a file to write"
        raise MoexrayError(message)
    try:
        mode = target.stat().st_mode if target.exists() else None
        folder_is_there = target.parent.is_dir()
        _partial(target).exists()  # raises where its name is too long
    except OSError as error:
        message = f"{named} cannot be written: {error.strerror}"
        raise MoexrayError(message) from error
    if mode is not None and not stat.S_ISREG(mode):
        message = f"{named} is {_KINDS.get(stat.S_IFMT(mode), 'no ordinary file')}: name a file to write"
        raise MoexrayError(message)
    if not folder_is_there:
        message = f"{target.parent} is not a folder: make it first, or write {path.name} elsewhere"
        raise MoexrayError(message)
    if not os.access(target.parent, os.W_OK):
        message = f"no permission to write in {target.parent.resolve()}: write {path.name} elsewhere"
        raise MoexrayError(message)


def file_to_write(named: str | Path) -> Path:
    """Return the path of a file from what a user wrote, of which a path would forget the slash at the end.

    Raises
    ------
    MoexrayError
        If it names a folder.
    """
    if str(named).endswith(("/", os.sep)):
        message = f"{named} names a folder: name a file to write, such as {Path(named) / 'NAME'}"
        raise MoexrayError(message)
    return Path(named)


def check_ordinary(path: Path, *, error: type[MoexrayError]) -> None:
    """Raise `error` if `path` is there and is no ordinary file: a pipe would be waited for, or read only once."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # whoever opens it says why it cannot be
    if not stat.S_ISREG(mode):
        message = f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'no ordinary file')}: name a file"
        raise error(message)


def is_same(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file, there or not."""
    return os.path.realpath(one) == os.path.realpath(other)


def companion(signatures: Path, suffix: str) -> Path:
    """Return the file of that suffix beside signatures: their whole name, without a last ``.npz``, and the suffix.

    Examples
    --------
    >>> companion(Path("t0.5.npz"), "trace.parquet").name, companion(Path("t0.5"), "trace.parquet").name
    ('t0.5.trace.parquet', 't0.5.trace.parquet')
    """
    return signatures.with_name(f"{_without_ending(signatures)}.{suffix}")


def find_companion(signatures: Path, suffix: str) -> Path | None:
    """Return the file of that suffix beside signatures; an earlier name, which ended at its last dot, will do."""
    names = (companion(signatures, suffix), signatures.with_name(f"{signatures.stem}.{suffix}"))
    return next((name for name in names if name.is_file()), None)


def owner_of_companions(signatures: Path) -> Path | None:
    """Return other signatures that are there and whose companions have the same names: ``run`` of ``run.npz``."""
    short = signatures.with_name(_without_ending(signatures))
    for other in (short, short.with_name(f"{short.name}{_SIGNATURES}")):
        if other.is_file() and not (signatures.exists() and other.samefile(signatures)):
            return other
    return None


def remove_partials(path: Path) -> None:
    """Delete the temporary files of processes that were killed while they wrote `path`; nobody else may be at it."""
    target = target_of(path)
    of_target = re.compile(rf"\.{re.escape(target.stem)}\.[0-9]+\.partial{re.escape(target.suffix)}")
    with suppress(PermissionError):  # a folder that may be written to, but not listed
        for file in target.parent.iterdir():
            if of_target.fullmatch(file.name):
                file.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, of the same suffix, that replaces the file at `path` when the block succeeds.

    If the block fails nothing is left behind, and what stood at `path` is untouched.

    Raises
    ------
    MoexrayError
        If the operating system refuses: no permission, no space, no such folder.
    """
    check_writable(path)
    target = target_of(path)
    partial = _partial(target)
    try:
        partial.unlink(missing_ok=True)  # that of a process of the same number that was killed
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name `path` where the operating system refuses to write, for one of several files that are written together.

    Raises
    ------
    MoexrayError
        In the place of what the operating system raises.
    """
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> MoexrayError:
    return MoexrayError(f"{path} could not be written: {error.strerror or error}")


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")


def _without_ending(signatures: Path) -> str:
    return signatures.stem if signatures.suffix.lower() == _SIGNATURES else signatures.name
