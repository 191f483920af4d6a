"""Data as text that stands in a page: arrays and JSON, compressed, in letters that close no element."""

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A hundredth larger than at the highest level, in a third of the time.
_LEVEL = 6


@dataclass(frozen=True)
class Block:
    """Data of a page.

    Attributes
    ----------
    name
        What it is called in the page.
    form
        Type and shape of an array as NumPy names them, or ``json``.
    text
        Base64 of gzip of the bytes: whatever the data holds, there is no ``<`` in it.
    """

    name: str
    form: dict[str, Any]
    text: str


def array_block(name: str, values: NDArray[np.number]) -> Block:
    """Return an array as a block; the same array gives the same text."""
    data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    return Block(name, {"type": data.dtype.name, "shape": list(data.shape)}, _packed(data.tobytes()))


def json_block(name: str, values: Any) -> Block:
    """Return JSON values as a block: texts from outside, and lists that are long."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Block(name, {"type": "json"}, _packed(text.encode("utf-8")))


def narrowest(values: NDArray[np.integer], *, missing: int | None = None) -> NDArray[np.unsignedinteger]:
    """Return whole numbers in the narrowest unsigned type that holds them.

    Parameters
    ----------
    values
        At least 0, but for `missing`.
    missing
        A value that stands for none: it becomes the greatest of the type, which no other value takes.

    Examples
    --------
    >>> narrowest(np.array([3, -1, 254]), missing=-1).tolist(), narrowest(np.array([255, -1]), missing=-1).tolist()
    ([3, 255, 254], [255, 65535])
    """
    most = int(values.max(initial=0)) + (missing is not None)
    kind = np.dtype(np.min_scalar_type(most))
    if missing is None:
        return values.astype(kind)
    return np.where(values == missing, np.iinfo(kind).max, values).astype(kind)


def sums(values: NDArray[np.integer]) -> NDArray[np.number]:
    """Return sums of counts in a type that a page reads and that holds them: beyond 32 bits as float64, exact to 2^53.

    Examples
    --------
    >>> sums(np.array([3, 2**32])).tolist(), sums(np.array([3])).dtype.name
    ([3.0, 4294967296.0], 'uint32')
    """
    return values.astype(np.uint32 if values.max(initial=0) <= np.iinfo(np.uint32).max else np.float64)


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, compresslevel=_LEVEL, mtime=0)).decode("ascii")
