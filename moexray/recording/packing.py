"""Arrays as bytes for a journal: compressed, with a checksum, and read in parts."""

import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from moexray.extras import import_extra

_CHECKSUM = 4
_ZLIB, _ZSTD = b"z", b"s"


class DamagedError(ValueError):
    """Bytes that `pack` did not make, or that changed since."""


class Packed:
    """Arrays that `pack` made bytes of.

    Raises
    ------
    DamagedError
        If it did not.
    """

    def __init__(self, content: bytes) -> None:
        self._planes: dict[str, tuple[np.dtype[Any], NDArray[np.uint8]]] = {}
        try:
            if not is_whole(content):
                raise DamagedError
            for title, planes in safetensors.load(_expanded(content[_CHECKSUM:])).items():
                name, kind = title.split()
                self._planes[name] = np.dtype(kind), planes
        except (SafetensorError, zlib.error, OSError, TypeError, ValueError) as error:
            message = "these bytes are damaged"
            raise DamagedError(message) from error

    def __contains__(self, name: str) -> bool:
        return name in self._planes

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return an array, or some of its rows."""
        if name not in self._planes:
            raise DamagedError
        kind, planes = self._planes[name]
        together = np.ascontiguousarray(np.moveaxis(planes[:, start:stop], 0, -1))
        found: NDArray[Any] = together.view(kind)[..., 0]
        return found


def pack(arrays: Mapping[str, NDArray[Any] | None]) -> bytes:
    """Return arrays as bytes; None is left out.

    The first bytes of all elements stand together, then the second ones: the upper bytes of expert ids and gate weights
    are nearly all the same.
    """
    planes = {
        f"{name} {array.dtype.str}": np.ascontiguousarray(np.moveaxis(_bytes_of(array), -1, 0))
        for name, array in arrays.items()
        if array is not None
    }
    content = _compressed(safetensors.save(planes))
    return zlib.crc32(content).to_bytes(_CHECKSUM, "big") + content


def is_whole(content: Any) -> bool:
    """Whether the checksum of what `pack` made is right."""
    return (
        isinstance(content, bytes)
        and len(content) > _CHECKSUM
        and zlib.crc32(memoryview(content)[_CHECKSUM:]) == int.from_bytes(content[:_CHECKSUM], "big")
    )


def pack_text(text: str) -> NDArray[np.uint8]:
    """Return a text as an array that can be packed."""
    return np.frombuffer(text.encode(), dtype=np.uint8)


def unpack_text(array: NDArray[np.uint8]) -> str:
    """Return the text of an array that `pack_text` made."""
    return array.tobytes().decode()


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:  # (*shape, bytes of an element)
    return np.ascontiguousarray(array)[..., None].view(np.uint8)


def _compressed(content: bytes) -> bytes:
    """Compress what is large by Zstandard if pyarrow is there, in a tenth of the time; else by zlib."""
    if len(content) < 2**16 or find_spec("pyarrow") is None:
        return _ZLIB + zlib.compress(content, level=1)
    import pyarrow as pa

    made: bytes = pa.Codec("zstd", 1).compress(content, asbytes=True)
    return _ZSTD + len(content).to_bytes(8, "big") + made


def _expanded(content: bytes) -> bytes:
    if content[:1] == _ZLIB:
        return zlib.decompress(content[1:])
    if content[:1] != _ZSTD:
        raise DamagedError
    pa = import_extra("pyarrow", extra="parquet", purpose="going on with this journal")
    size = int.from_bytes(content[1:9], "big")
    found: bytes = pa.Codec("zstd").decompress(content[9:], size, asbytes=True)
    return found
