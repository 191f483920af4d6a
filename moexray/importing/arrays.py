"""NumPy arrays of strangers, read without pickles: memory grows with what is there, not with what a header claims."""

import binascii
import io
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.files import LFS_CURE, check_ordinary, is_lfs_pointer

_CHUNK = 2**20
# A member that unpacks to more than this, and to more than so many times its size, is there to fill memory.
_MOST_UNPACKED = 2**26
_MOST_TIMES = 256
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What the zip and NumPy readers raise of files that are damaged, foreign or encrypted.
DAMAGE = (
    *(ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError, IndexError, RuntimeError),
    *(OverflowError, MemoryError, SyntaxError, TokenError),
)


def check_file(path: Path) -> None:
    """Raise ImportingError unless a path is an ordinary file, and not a pointer of git-lfs."""
    check_ordinary(path, error=ImportingError)
    if is_lfs_pointer(path):
        message = f"{path} {LFS_CURE}"
        raise ImportingError(message)


def files_in(folder: Path) -> list[Path]:
    """Return what lies in a folder, in the order of names; nothing where it is no folder."""
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        message = f"{folder} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error


def read_npy(stream: IO[bytes], place: str) -> NDArray[Any]:
    """Read an array of numbers or texts, and nothing after it; `ImportingError` where it is anything else."""
    try:
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            message = f"{place} is of NumPy's format {version}, which only names of fields need"
            raise ImportingError(message)
        shape, in_columns, dtype = _HEADERS[version](stream)
        if dtype.kind not in "iufUSb" or dtype.hasobject:
            message = f"{place} holds {dtype}: only numbers and texts are read, never pickled objects"
            raise ImportingError(message)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        content = read_bytes(stream, size, place)
        if size < 0 or stream.read(1):
            message = f"{place} is longer than its header says"
            raise ImportingError(message)
        found = np.frombuffer(content, dtype) if dtype.itemsize else np.zeros(int(np.prod(shape)), dtype)
        return found.reshape(shape, order="F" if in_columns else "C")
    except DAMAGE as error:
        message = f"{place} is no array of NumPy, or not a whole one ({_first_line(error)})"
        raise ImportingError(message) from error


def read_bytes(stream: IO[bytes], size: int, place: str) -> bytearray:
    """Read so many bytes in chunks; `ImportingError` where there are fewer."""
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(size - len(content), _CHUNK))):
        content += chunk
    if len(content) < size:
        message = f"{place} ends too early: {size:,} bytes are needed, {len(content):,} are there"
        raise ImportingError(message)
    return content


def open_member(archive: zipfile.ZipFile, name: str, path: Path) -> IO[bytes]:
    """Open a member of an archive, unless it unpacks to far more than it is."""
    held = archive.getinfo(name)
    if held.file_size > max(_MOST_UNPACKED, _MOST_TIMES * held.compress_size):
        message = (
            f"{path}: {name} unpacks to {held.file_size:,} bytes, {_MOST_TIMES} times its size or more: such a file is "
            "made to fill memory"
        )
        raise ImportingError(message)
    return archive.open(held)


def read_npz(path: Path, names: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Read some arrays of an .npz file.

    Parameters
    ----------
    path
        The file.
    names
        What the caller calls each array, and its name in the file.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            there = archive.namelist()
            found = {}
            for own, name in names.items():
                if f"{name}.npy" not in there:
                    held = ", ".join(one.removesuffix(".npy") for one in there[:20])
                    message = f"{path} has no array {name!r}: it has {held}"
                    raise ImportingError(message)
                with open_member(archive, f"{name}.npy", path) as member:
                    found[own] = read_npy(member, f"{path}, {name}")
            return found
    except (*DAMAGE, OSError) as error:
        message = f"{path} is no .npz file, or not a whole one ({_first_line(error)})"
        raise ImportingError(message) from error


def decode_array(packed: Any, encoding: str, place: str) -> NDArray[Any]:
    """Return the array that base64 text or bytes hold.

    Parameters
    ----------
    packed
        The text or bytes.
    encoding
        ``npy`` for a whole file of NumPy, or the name of an integer type for nothing but its numbers, little-endian.
    place
        What it is called in errors.
    """
    if isinstance(packed, str):
        try:
            packed = b64decode(packed, validate=True)
        except (binascii.Error, ValueError) as error:
            message = f"{place} is not base64: is its encoding another?"
            raise ImportingError(message) from error
    if not isinstance(packed, bytes):
        message = f"{place} is {type(packed).__name__}, not bytes or base64 text, which the encoding {encoding} needs"
        raise ImportingError(message)
    if encoding == "npy":
        return read_npy(io.BytesIO(packed), place)
    dtype = np.dtype(encoding).newbyteorder("<")
    if len(packed) % dtype.itemsize:
        message = f"{place} has {len(packed):,} bytes, which are no whole number of {encoding}"
        raise ImportingError(message)
    return np.frombuffer(packed, dtype)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
