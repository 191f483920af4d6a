"""The file of a Signatures: a compressed .npz without pickles, the same bytes for the same content.

Members: `counts`, `tokens`, `layers`, `top_k` and, where recorded, `mass` as they are; each tuple of
strings as `<name>.utf8` (all of them, end to end, as bytes) and `<name>.offsets` (where each begins,
and the end), because numpy's own string arrays drop trailing NULs and grow to the longest string;
`meta` as JSON in bytes, with the schema's number under `"schema"`.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.files import whole_file
from moexray.signatures import Signatures, smallest_unsigned

SCHEMA = 1
_ARRAYS = ("counts", "tokens", "layers", "top_k")
_STRINGS = ("categories", "prompt_ids")
_OPTIONAL_STRINGS = ("texts", "outputs", "groups")
_Packed = tuple[bytes, NDArray[np.int64]]


def write(signatures: Signatures, path: Path) -> None:
    """Write `signatures` to `path`, whole or not at all."""
    largest = int(signatures.counts.max(initial=0))
    write_blocks(lambda: [signatures], path, prompts=len(signatures), largest=largest)


def write_blocks(blocks: Callable[[], Iterable[Signatures]], path: Path, *, prompts: int, largest: int) -> None:
    """Write signatures that come some prompts at a time, whole or not at all; their counts are never all in memory.

    Parameters
    ----------
    blocks
        Gives consecutive prompts, at least one block, as often as it is called; all have the same layers, meta and
        optional parts.
    path
        The file.
    prompts
        How many there are in all.
    largest
        The largest count of all.
    """
    dtype = smallest_unsigned(np.array(largest, dtype=np.uint64)).dtype
    with whole_file(path) as partial, zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED) as archive:
        tokens: list[NDArray[np.int32]] = []
        strings: dict[str, list[_Packed]] = {}
        with archive.open("counts.npy", "w", force_zip64=True) as member:
            for block in blocks():
                if not tokens:
                    _write_header(member, (prompts, *block.counts.shape[1:]), dtype)
                member.write(np.ascontiguousarray(block.counts, dtype=dtype).data)
                tokens.append(block.tokens)
                for name in _STRINGS + _OPTIONAL_STRINGS:
                    if getattr(block, name) is not None:
                        strings.setdefault(name, []).append(_pack(getattr(block, name)))
        if block.mass is not None:
            with archive.open("mass.npy", "w", force_zip64=True) as member:
                _write_header(member, (prompts, *block.counts.shape[1:]), np.dtype(np.float32))
                for one in blocks():
                    member.write(np.ascontiguousarray(one.mass, dtype=np.float32).data)
        arrays: dict[str, NDArray[Any]] = {
            "tokens": np.concatenate(tokens).astype(np.int32),
            "layers": block.layers.astype(np.int16),
            "top_k": block.top_k.astype(np.int16),
        }
        for name, packed in strings.items():
            arrays[f"{name}.utf8"], arrays[f"{name}.offsets"] = _joined(packed)
        meta = {**block.meta, "schema": SCHEMA}
        arrays["meta"] = np.frombuffer(json.dumps(meta, ensure_ascii=False, sort_keys=True).encode(), dtype=np.uint8)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


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
            mass=arrays.get("mass"),
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


def _write_header(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(member, header)


def _pack(strings: Sequence[str]) -> _Packed:
    """Return all strings end to end as bytes, and how many bytes each has."""
    encoded = [string.encode() for string in strings]
    return b"".join(encoded), np.array([len(one) for one in encoded], dtype=np.int64)


def _joined(packed: Sequence[_Packed]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    lengths = np.concatenate([one for _, one in packed])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.frombuffer(b"".join(end_to_end for end_to_end, _ in packed), dtype=np.uint8), offsets


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
