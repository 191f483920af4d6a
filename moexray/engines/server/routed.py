"""Routed experts as servers write them: base64 of a .npy file (vLLM), or of bare numbers (SGLang)."""

import base64
import binascii
from ast import literal_eval
from math import prod
from typing import Any
from warnings import catch_warnings

import numpy as np
from numpy.typing import NDArray

# What vLLM writes: the narrowest that holds all ids, or the 32 bits that it records in.
_NPY_TYPES = ("|u1", "<u2", "<i2", "<i4")
_BARE_TYPES = {1: "<u1", 2: "<u2", 4: "<i4"}
_MAGIC = (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00")
# Of a right header: one dtype, one order and three sizes.
_MOST_HEADER, _MOST_SIZE = 1024, 2**40
# What is raised where a header is none.
_NO_HEADER = (ValueError, SyntaxError, LookupError, AttributeError, TypeError, RecursionError, MemoryError)


class ReplyError(Exception):
    """What is wrong with a reply, as the end of a sentence."""


def from_npy(text: Any) -> NDArray[np.integer]:  # (rows, layers, k)
    """Return the array of a .npy file in base64; its header is checked before anything is made of its data.

    NumPy's own reader goes on to repair headers that are none, and may raise anything then.

    Raises
    ------
    ReplyError
        If it is no whole file of integers in C order with three axes.
    """
    content = _decoded(text)
    dtype, is_fortran, shape, data = _header(content)
    if dtype not in _NPY_TYPES:
        message = f"its routed experts are {dtype!r:.40}, and whole numbers of at most 32 bits are expected"
        raise ReplyError(message)
    if is_fortran:
        message = "its routed experts stand in Fortran order, which no release is known to write"
        raise ReplyError(message)
    if len(shape) != 3:
        message = f"its routed experts have {len(shape)} axes, and (tokens, layers, k) are expected"
        raise ReplyError(message)
    expected, there = prod(shape) * np.dtype(dtype).itemsize, len(content) - data
    if expected != there:
        message = f"its routed experts should be {float(expected):.4g} bytes by their header, and are {there:,}"
        raise ReplyError(message)
    return np.frombuffer(content, dtype=dtype, offset=data).reshape(shape)


def _header(content: bytes) -> tuple[Any, bool, tuple[int, ...], int]:
    """Return the dtype, whether it is in Fortran order, the shape, and where the data begins."""
    magic, size = (content[:8], content[8:10]) if content[6:7] == b"\x01" else (content[:8], content[8:12])
    begin = 8 + len(size)
    end = begin + int.from_bytes(size, "little")
    try:
        if magic not in _MAGIC or end - begin > _MOST_HEADER:
            raise ValueError
        with catch_warnings(action="ignore"):  # Python warns of texts that are odd as programs
            found = literal_eval(content[begin:end].decode("ascii").strip())
        dtype, is_fortran, shape = (found.pop(name) for name in ("descr", "fortran_order", "shape"))
        if found or type(is_fortran) is not bool or not _is_shape(shape):
            raise ValueError
    except _NO_HEADER as error:
        message = "its routed experts are no .npy file"
        raise ReplyError(message) from error
    return dtype, is_fortran, shape, end


def _is_shape(found: Any) -> bool:
    return isinstance(found, tuple) and all(type(size) is int and 0 <= size < _MOST_SIZE for size in found)


def from_bare(text: Any, *, rows: int, layers: int, k: int) -> NDArray[np.integer]:  # (rows, layers, k)
    """Return the array of numbers in base64 that say neither their shape nor their format: their length must fit.

    Raises
    ------
    ReplyError
        If it fits no number format of 1, 2 or 4 bytes.
    """
    content = _decoded(text)
    numbers = rows * layers * k
    size, rest = divmod(len(content), numbers)
    if rest or size not in _BARE_TYPES:
        message = (
            f"its routed experts are {len(content):,} bytes, and {rows} rows of {layers} layers and {k} experts "
            f"({4 * numbers:,} bytes) are expected"
        )
        raise ReplyError(message)
    return np.frombuffer(content, dtype=_BARE_TYPES[size]).reshape(rows, layers, k)


def _decoded(text: Any) -> bytes:
    if isinstance(text, list):
        message = (
            "its routed experts are lists, as of vLLM 0.21, which leaves out tokens that are in its cache: serve the "
            "model with vLLM 0.22 or later"
        )
        raise ReplyError(message)
    if not isinstance(text, str):
        message = f"its routed experts are {type(text).__name__}, and text in base64 is expected"
        raise ReplyError(message)
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        message = "its routed experts are no base64, or are cut off"
        raise ReplyError(message) from error
