"""Routed experts as servers write them: base64 of a .npy file (vLLM), or of bare numbers (SGLang)."""

import base64
import binascii
import io
import warnings
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

# What vLLM writes: the narrowest that holds all ids, or the 32 bits that it records in.
_NPY_TYPES = ("|u1", "<u2", "<i2", "<i4")
_BARE_TYPES = {1: "<u1", 2: "<u2", 4: "<i4"}
# What NumPy raises of a header that is none.
_UNREADABLE = (
    ValueError,
    LookupError,
    EOFError,
    OverflowError,
    RecursionError,
    MemoryError,
    SyntaxError,
    TypeError,
    UserWarning,
)
# Of a right header: one dtype, one order and three sizes.
_MOST_HEADER = 1024


class ReplyError(Exception):
    """What is wrong with a reply, as the end of a sentence."""


def from_npy(text: Any) -> NDArray[np.integer]:  # (rows, layers, k)
    """Return the array of a .npy file in base64; its header is checked before anything is made of its data.

    Raises
    ------
    ReplyError
        If it is no whole file of integers in C order with three axes.
    """
    content = _decoded(text)
    try:
        file = io.BytesIO(content)
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of headers as Python 2 wrote them
            shape, fortran_order, dtype = read(file, max_header_size=_MOST_HEADER)
    except _UNREADABLE as error:
        message = "its routed experts are no .npy file"
        raise ReplyError(message) from error
    if dtype.str not in _NPY_TYPES:
        message = f"its routed experts are {dtype!s:.40}, and whole numbers of at most 32 bits are expected"
        raise ReplyError(message)
    if fortran_order:
        message = "its routed experts stand in Fortran order, which no release is known to write"
        raise ReplyError(message)
    if len(shape) != 3 or any(size < 0 for size in shape):
        message = f"its routed experts have {len(shape)} axes, and (tokens, layers, k) are expected"
        raise ReplyError(message)
    expected, there = int(np.prod(shape, dtype=object)) * dtype.itemsize, len(content) - file.tell()
    if expected != there:
        message = f"its routed experts should be {expected:,} bytes by their header, and are {there:,}"
        raise ReplyError(message)
    return np.frombuffer(content, dtype=dtype, offset=file.tell()).reshape(shape)


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
