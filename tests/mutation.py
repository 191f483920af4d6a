"""Mutations of files, seeded: bytes that change, go, come or move, and tokens of texts that stand for others."""

import re
from collections.abc import Callable, Sequence

import numpy as np

Rng = np.random.Generator

_NUMBERS = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\0\xca\x9a\x3b",
    b"\x01\0\0\0\0\0\0\x80",
)
_WORDS = (
    *(
        b"",
        b"null",
        b"true",
        b"-1",
        b"0",
        b"1e999",
        b"NaN",
        b"9" * 400,
        b"0.5",
        b'"',
        b"''",
        b"\\",
        b"\\ud800",
        b"\\u0000",
    ),
    *(b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *(
        b'"text"',
        b'"category"',
        b"text",
        b"category",
        b"[" * 5000,
        b"\x1b[31m",
        b"{{",
        b"}}",
        b"{%",
        b"%}",
        b"|int",
        b"x" * 3000,
    ),
)
_TOKEN = re.compile(rb'"[^"\n]*"|[A-Za-z_0-9.]+|[^A-Za-z_0-9\s]|\n')


def mutated(content: bytes, rng: Rng) -> bytes:
    """Return some bytes with one to three mutations, most often one."""
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        content = _BYTES[int(rng.integers(len(_BYTES)))](content, rng)
    return content


def mutated_text(content: bytes, rng: Rng) -> bytes:
    """Return a text with one to three mutations of its tokens or its bytes."""
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        content = (_token if rng.random() < 0.7 else _BYTES[int(rng.integers(len(_BYTES)))])(content, rng)
    return content


def _place(content: bytes, rng: Rng) -> int:
    return int(rng.integers(len(content) + 1))


def _range(content: bytes, rng: Rng) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + int(rng.geometric(0.05)))


def _flip(content: bytes, rng: Rng) -> bytes:
    if not content:
        return b"x"
    place = int(rng.integers(len(content)))
    return content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]


def _number(content: bytes, rng: Rng) -> bytes:
    place, number = _place(content, rng), _NUMBERS[rng.integers(len(_NUMBERS))]
    return content[:place] + number + content[place + len(number) :]


def _insert(content: bytes, rng: Rng) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.bytes(int(rng.geometric(0.2))) + content[place:]


def _delete(content: bytes, rng: Rng) -> bytes:
    start, end = _range(content, rng)
    return content[:start] + content[end:]


def _repeat(content: bytes, rng: Rng) -> bytes:
    start, end = _range(content, rng)
    return content[:end] + content[start:]


def _move(content: bytes, rng: Rng) -> bytes:
    start, end = _range(content, rng)
    place = _place(content, rng)
    return content[:place] + content[start:end] + content[place + end - start :]


def _cut(content: bytes, rng: Rng) -> bytes:
    return content[: _place(content, rng)]


_BYTES: Sequence[Callable[[bytes, Rng], bytes]] = (_flip, _flip, _flip, _number, _insert, _delete, _repeat, _move, _cut)


def _token(content: bytes, rng: Rng) -> bytes:
    """Replace a token by another one of the text, or by one that often makes trouble."""
    found = list(_TOKEN.finditer(content))
    if not found:
        return _WORDS[rng.integers(len(_WORDS))]
    old = found[rng.integers(len(found))]
    new = found[rng.integers(len(found))].group() if rng.random() < 0.4 else _WORDS[rng.integers(len(_WORDS))]
    after = old.end() if rng.random() < 0.7 else old.start()
    return content[: old.start()] + new + content[after:]
