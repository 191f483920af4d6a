"""Files that torch.save wrote, read without torch: a zip of one pickle and the bytes of each tensor."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.arrays import DAMAGE, check_file, open_member, read_bytes
from moexray.importing.pickles import MOST_BYTES, Constructor, Named, read_pickle

_MOST_TENSOR = 2**31
_DTYPES = {
    "torch.ByteStorage": "u1",
    "torch.CharStorage": "i1",
    "torch.ShortStorage": "<i2",
    "torch.IntStorage": "<i4",
    "torch.LongStorage": "<i8",
    "torch.HalfStorage": "<f2",
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.BoolStorage": "?",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    length: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file of torch; its numbers are read when they are asked for.

    Attributes
    ----------
    path, storage, start, shape
        Where it is, and its shape.
    """

    path: Path
    storage: _Storage
    start: int
    shape: tuple[int, ...]

    def read(self) -> NDArray[Any]:
        """Read it; `ImportingError` where the file has fewer numbers."""
        size, width = math.prod(self.shape), self.storage.dtype.itemsize
        place = f"{self.path}, tensor {self.storage.key}"
        with (
            _opened(self.path) as (archive, folder),
            open_member(archive, f"{folder}data/{self.storage.key}", self.path) as member,
        ):
            member.seek(self.start * width)
            return np.frombuffer(read_bytes(member, size * width, place), self.storage.dtype).reshape(self.shape)


def read_torch(path: Path, constructors: dict[str, Constructor]) -> Any:
    """Return what was saved: dicts, lists, numbers, and each tensor as a `StoredTensor`.

    Parameters
    ----------
    path
        The file.
    constructors
        What else such files may hold; see `moexray.importing.pickles.read_pickle`.

    Raises
    ------
    ImportingError
        If it is no such file, is damaged, or holds anything else.
    """
    check_file(path)
    with _opened(path) as (archive, folder):
        held = archive.getinfo(f"{folder}data.pkl")
        if held.file_size > MOST_BYTES:
            message = f"{path} has a pickle of {held.file_size:,} bytes: no more than {MOST_BYTES:,} are read"
            raise ImportingError(message)
        content = archive.read(held)
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.getinfo(order).file_size < 10 and archive.read(order) != b"little":
            message = f"{path} was written on a machine of another byte order"
            raise ImportingError(message)

    def rebuilt(storage: Any, start: int, shape: Any, strides: Any, *_: Any) -> StoredTensor:
        return _tensor(path, storage, start, shape, strides)

    known: dict[str, Constructor] = {
        "torch._utils._rebuild_tensor_v2": rebuilt,
        "collections.OrderedDict": lambda *_: {},
        **constructors,
    }
    return read_pickle(content, known, str(path), persistent=_storage)


def _storage(name: Any) -> _Storage:
    kind, storage, key, _, length = name
    path = storage.path if isinstance(storage, Named) else "nothing"
    if kind != "storage" or path not in _DTYPES or type(key) is not str or "/" in key or type(length) is not int:
        message = f"a tensor of {path}, which is not read"
        raise ValueError(message)
    return _Storage(key, np.dtype(_DTYPES[path]), length)


def _tensor(path: Path, storage: Any, start: Any, shape: Any, strides: Any) -> StoredTensor:
    numbers = (start, *shape, *strides)
    if not isinstance(storage, _Storage) or any(type(one) is not int or one < 0 for one in numbers):
        message = "a tensor whose shape is no shape"
        raise ValueError(message)
    size, expected = math.prod(shape), 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length > 1 and stride != expected and size:
            message = "a tensor that is not contiguous"
            raise ValueError(message)
        expected *= length
    if start + size > storage.length or size * storage.dtype.itemsize > _MOST_TENSOR:
        message = f"a tensor of {size:,} numbers, more than its storage has or than is read at once"
        raise ValueError(message)
    return StoredTensor(path, storage, start, tuple(shape))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, str]]:
    """Open the archive, and find the folder in it that torch names for the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(found) != 1:
                message = f"{path} is no file of torch: it has {len(found)} members called data.pkl, not one"
                raise ImportingError(message)
            yield archive, found[0].removesuffix("data.pkl")
    except (*DAMAGE, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{path} is no file that torch.save wrote since 1.6, or not a whole one ({reason})"
        raise ImportingError(message) from error
