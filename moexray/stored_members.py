"""Members of an .npz file that are read when they are asked for, whole or some rows at a time."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, overload

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.files import LFS_CURE, check_ordinary, is_lfs_pointer

_CHUNK = 2**20
# A member that unpacks to more than this, and to more than so many times its size, is there to fill memory.
_MOST_UNPACKED = 2**26
_MOST_TIMES = 256
# What the zip and NumPy readers raise of files that are damaged, foreign or encrypted.
_DAMAGE = (
    *(ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError),
    *(KeyError, IndexError, RuntimeError, OverflowError, MemoryError, SyntaxError, TokenError),
)


@dataclass(frozen=True)
class StoredFile:
    """An .npz file, as it was when it was opened.

    Attributes
    ----------
    path
        The file.
    stamp
        Its inode, size and time of change: a file that was replaced since is refused, not mixed with the first.
    most_unpacked
        Bytes that a member may unpack to whatever its size, where it is known how many it must have.
    """

    path: Path
    stamp: tuple[int, int, int]
    most_unpacked: int = 0

    @staticmethod
    def of(path: Path, *, most_unpacked: int = 0) -> "StoredFile":
        """Look at a file; `SignaturesError` if it is not there."""
        check_ordinary(path, error=SignaturesError)
        with _readable(path):
            return StoredFile(path, _stamp(path), most_unpacked)

    @contextmanager
    def archive(self) -> Iterator[zipfile.ZipFile]:
        """Open the file; what goes wrong in reading becomes one sentence."""
        with _readable(self.path):
            if _stamp(self.path) != self.stamp:
                message = f"{self.path} was changed after it was opened: open it again"
                raise SignaturesError(message)
            if is_lfs_pointer(self.path):
                message = f"{self.path} {LFS_CURE}"
                raise SignaturesError(message)
            with self.path.open("rb") as file:
                if file.read(6) == b"\x93NUMPY":
                    message = f"{self.path} holds a single array, not signatures"
                    raise SignaturesError(message)
            with zipfile.ZipFile(self.path) as opened:
                yield opened

    @contextmanager
    def member(self, name: str) -> Iterator[IO[bytes]]:
        """Open the file of an array."""
        with self.archive() as archive:
            held = archive.getinfo(f"{name}.npy")
            if held.file_size > max(_MOST_UNPACKED, self.most_unpacked, _MOST_TIMES * held.compress_size):
                message = (
                    f"{self.path}: {name} unpacks to {held.file_size:,} bytes, {_MOST_TIMES} times its size or more: "
                    "such a file is made to fill memory"
                )
                raise SignaturesError(message)
            with archive.open(held) as opened:
                yield opened

    def array(self, name: str) -> "StoredArray":
        """Read the header of an array."""
        with self.member(name) as member:
            shape, in_columns, dtype = _header(member)
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            message = f"{self.path}: {name} must be {'' if name == 'mass' else 'whole '}numbers, not {dtype}"
            raise SignaturesError(message)
        return StoredArray(self, name, shape, dtype, in_columns=in_columns)

    def characters(self, name: str) -> "StoredArray":
        """Read the header of an array of the bytes of a text."""
        found = self.array(name)
        if found.dtype != np.uint8 or len(found.shape) != 1:
            message = f"{self.path}: {name} must be uint8 in one row, not {found.dtype} {found.shape}"
            raise SignaturesError(message)
        return found

    def strings(self, name: str) -> "StoredStrings":
        """Read where each string of a member begins.

        Raises
        ------
        SignaturesError
            If the offsets do not fit the bytes.
        """
        size = self.characters(f"{name}.utf8").shape
        offsets = self.array(f"{name}.offsets").read()
        numbers = offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype.kind in "iu" and len(size) == 1
        if not numbers or offsets[0] != 0 or offsets[-1] != size[0] or (offsets[1:] < offsets[:-1]).any():
            message = f"{self.path}: the offsets of {name} do not fit its {size[0] if size else 0} bytes"
            raise SignaturesError(message)
        return StoredStrings(self, name, offsets.astype(np.int64))


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes
    ----------
    file, name
        Where it is.
    shape, dtype
        As in its header.
    in_columns
        Whether the file holds it column by column, as NumPy calls Fortran order.
    """

    file: StoredFile
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    in_columns: bool

    def read(self) -> NDArray[Any]:
        """Read it whole."""
        with self._opened() as member:
            found = _numbers(member, self.shape[::-1] if self.in_columns else self.shape, self.dtype)
            _check_end(member)
        return found.T if self.in_columns else found

    def blocks(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, at most `size` at a time."""
        if self.in_columns:
            whole = self.read()
            yield from (whole[start : start + size] for start in range(0, len(whole), size))
            return
        with self._opened() as member:
            for start in range(0, self.shape[0], size):
                rows = min(size, self.shape[0] - start)
                yield _numbers(member, (rows, *self.shape[1:]), self.dtype)
            _check_end(member)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with self.file.member(self.name) as member:
            _header(member)
            yield member


class StringsAt(Sequence[str]):
    """Strings that are read where they lie: a subclass says how many there are, how to go through them, and `at`."""

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return self.at(range(len(self))[place])
        return self.at([range(len(self))[place]])[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def at(self, places: Sequence[int]) -> tuple[str, ...]:
        """Read the strings at these places, in one pass."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class StoredStrings(StringsAt):
    """Strings in a file, end to end; only where each begins is in memory."""

    file: StoredFile
    name: str
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def each(self) -> Iterator[str]:
        """Read the strings in order, one at a time; none is kept."""
        with self.file.member(f"{self.name}.utf8") as member:
            _header(member)
            for size in np.diff(self.offsets).tolist():
                characters = member.read(size)
                if len(characters) < size:
                    message = "a text ends too early"
                    raise EOFError(message)
                yield self._decoded(characters)
            _check_end(member)

    def at(self, places: Sequence[int]) -> tuple[str, ...]:
        """Read the strings at these places, in one pass."""
        found: dict[int, str] = {}
        with self.file.member(f"{self.name}.utf8") as member:
            _header(member)
            at = 0
            # Read on, not sought: the checksum at the end is of what was read.
            for place in sorted(set(places)):
                start, end = (int(offset) for offset in self.offsets[place : place + 2])
                _pass_over(member, start - at)
                found[place], at = self._decoded(member.read(end - start)), end
            _pass_over(member, int(self.offsets[-1]) - at)
            _check_end(member)
        return tuple(found[place] for place in places)

    @cached_property
    def _all(self) -> tuple[str, ...]:
        packed = self.file.array(f"{self.name}.utf8").read().tobytes()
        return tuple(self._decoded(packed[a:b]) for a, b in pairwise(self.offsets.tolist()))

    def _decoded(self, characters: bytes) -> str:
        try:
            return characters.decode()
        except UnicodeDecodeError as error:
            message = f"{self.file.path}: {self.name} are not UTF-8 text"
            raise SignaturesError(message) from error


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array: its shape, whether columns come first, and its type."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(member)
    if version not in readers:
        message = f"an array is of NumPy's format {version}, which no file of signatures needs"
        raise ValueError(message)
    shape, in_columns, dtype = readers[version](member)
    if dtype.hasobject:
        message = "Object arrays cannot be loaded when allow_pickle=False"
        raise ValueError(message)
    if any(length < 0 for length in shape):
        message = f"an array is of shape {shape}"
        raise ValueError(message)
    return shape, in_columns and len(shape) > 1, dtype


def _numbers(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read so many numbers; memory grows with what is there, not with what a header claims."""
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    content = bytearray()
    while len(content) < size and (chunk := member.read(min(size - len(content), _CHUNK))):
        content += chunk
    if len(content) < size:
        message = "an array ends too early"
        raise EOFError(message)
    found = np.frombuffer(content, dtype).reshape(shape)
    found.flags.writeable = False  # nobody else holds the bytes, so nobody need copy them
    return found


def _pass_over(member: IO[bytes], size: int) -> None:
    """Read so many bytes and forget them."""
    while size > 0 and (chunk := member.read(min(size, _CHUNK))):
        size -= len(chunk)


def _check_end(member: IO[bytes]) -> None:
    """Raise where more follows; to look for it compares the checksum of what was read, too."""
    if member.read(1):
        message = "an array is longer than its header says"
        raise ValueError(message)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one sentence why the file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        message = f"{path} does not exist: `moexray capture` makes it, or name another file"
        raise SignaturesError(message) from error
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise SignaturesError(message) from error
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{path} is damaged or is not a file of signatures ({reason})"
        raise SignaturesError(message) from error
