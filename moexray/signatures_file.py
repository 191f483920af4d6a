"""The file of a Signatures: a compressed .npz without pickles, the same bytes for the same content.

Members: `counts`, `tokens`, `layers`, `top_k` as they are; each tuple of strings as `<name>.utf8`
(all of them, end to end, as bytes) and `<name>.offsets` (where each begins, and the end), because
numpy's own string arrays drop trailing NULs and grow to the longest string; `meta` as JSON in bytes,
with the schema's number under `"schema"`.
"""

import json
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.files import whole_file
from moexray.signatures import Signatures, smallest_unsigned

SCHEMA = 1
_ARRAYS = ("counts", "tokens", "layers", "top_k")
_STRINGS = ("categories", "prompt_ids")
_OPTIONAL_STRINGS = ("texts", "outputs", "groups")


def write(signatures: Signatures, path: Path) -> None:
    """Write `signatures` to `path`, whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {
        "counts": np.ascontiguousarray(smallest_unsigned(signatures.counts)),
        "tokens": signatures.tokens.astype(np.int32),
        "layers": signatures.layers.astype(np.int16),
        "top_k": signatures.top_k.astype(np.int16),
    }
    for name in _STRINGS + _OPTIONAL_STRINGS:
        strings = getattr(signatures, name)
        if strings is not None:
            arrays[f"{name}.utf8"], arrays[f"{name}.offsets"] = _pack(strings)
    meta = {**signatures.meta, "schema": SCHEMA}
    arrays["meta"] = np.frombuffer(json.dumps(meta, ensure_ascii=False, sort_keys=True).encode(), dtype=np.uint8)
    with whole_file(path) as partial, partial.open("xb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: Path) -> Signatures:
    """Read a file that `write` made.

    Raises
    ------
    SignaturesError
        If the file is missing, damaged, foreign, of a newer schema, or its arrays disagree.
    """
    arrays = read_arrays(path)
    meta = read_meta(arrays, path)
    with naming(path):
        return Signatures(
            counts=arrays["counts"],
            tokens=arrays["tokens"],
            categories=unpack(arrays, "categories"),
            prompt_ids=unpack(arrays, "prompt_ids"),
            layers=arrays["layers"],
            top_k=arrays["top_k"],
            meta=meta,
            texts=unpack(arrays, "texts") if "texts.utf8" in arrays else None,
            outputs=unpack(arrays, "outputs") if "outputs.utf8" in arrays else None,
            groups=unpack(arrays, "groups") if "groups.utf8" in arrays else None,
        )


def read_meta(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Any]:
    """Return the meta of a file of a schema that is known, whose arrays are all there."""
    try:
        meta: dict[str, Any] = json.loads(arrays["meta"].tobytes().decode())
        schema = meta.pop("schema")
    except (KeyError, UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        message = f"{path} is not a file of signatures: it has no readable meta with a schema number"
        raise SignaturesError(message) from error
    if schema != SCHEMA:
        message = f"{path} has schema {schema!r}; this moexray reads schema {SCHEMA}: update moexray"
        raise SignaturesError(message)
    missing = [name for name in _ARRAYS + tuple(f"{n}.utf8" for n in _STRINGS) if name not in arrays]
    if missing:
        message = f"{path} is not a whole file of signatures: {', '.join(missing)} missing"
        raise SignaturesError(message)
    return meta


def read_arrays(path: Path, *, but: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Read the arrays of the file; those named in `but` are not read and come back empty."""
    with readable(path), path.open("rb") as file:
        opened = np.load(file, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            message = f"{path} holds a single array, not signatures"
            raise SignaturesError(message)
        return {name: np.empty(0, dtype=np.uint8) if name in but else opened[name] for name in opened.files}


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its content."""
    try:
        yield
    except SignaturesError as error:
        message = f"{path}: {error}"
        raise SignaturesError(message) from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one sentence why the file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        message = f"{path} does not exist: `moexray capture` makes it, or name another file"
        raise SignaturesError(message) from error
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise SignaturesError(message) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError) as error:
        message = f"{path} is damaged or is not a file of signatures ({_one_line(error)})"
        raise SignaturesError(message) from error


def _pack(strings: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    encoded = [string.encode() for string in strings]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def unpack(arrays: Mapping[str, NDArray[Any]], name: str) -> tuple[str, ...]:
    """Return the strings of a member; `SignaturesError` if its offsets or its bytes are not."""
    packed, offsets = arrays[f"{name}.utf8"].tobytes(), arrays.get(f"{name}.offsets")
    if offsets is None or offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(packed):
        message = f"the offsets of {name} do not fit its {len(packed)} bytes"
        raise SignaturesError(message)
    try:
        return tuple(packed[a:b].decode() for a, b in pairwise(offsets.tolist()))
    except (UnicodeDecodeError, TypeError) as error:
        message = f"{name} are not UTF-8 text"
        raise SignaturesError(message) from error


def _one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
