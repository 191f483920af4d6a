"""The file of signatures: a compressed .npz without pickles, the same bytes for the same content.

Members: `counts`, `tokens`, `layers`, `top_k`, `experts` and, where recorded, `mass` as arrays; each tuple of strings
as `<name>.utf8` (all of them, end to end, as bytes) and `<name>.offsets` (where each begins, and the end), because
NumPy's own string arrays drop trailing NULs and grow to the longest string; `meta` as JSON in bytes, with the number
of the schema under `"schema"`. docs/signatures.md is its specification.

This module knows arrays and strings. What must hold of them is checked by `moexray.signatures`.
"""

import hashlib
import json
import re
import reprlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from moexray import strict_json
from moexray.errors import SignaturesError
from moexray.files import whole_file
from moexray.prompt_table import PromptTable
from moexray.segments import PLAIN, Segment
from moexray.stored_members import StoredArray, StoredFile

SCHEMA = 2
_READ = (1, SCHEMA)
_ARRAYS = ("counts", "tokens", "layers", "top_k")
# The columns of a prompt table and their names in the file.
STRINGS = {
    "categories": "categories",
    "ids": "prompt_ids",
    "texts": "texts",
    "outputs": "outputs",
    "groups": "groups",
}
# Columns that stay in the file until they are asked for, as further ones do.
_LONG = ("texts", "outputs")
# How the strings of a member are stored, and the members of further columns.
_PACKED = ("utf8", "offsets")
_FURTHER = re.compile(rf"column\.(0|[1-9][0-9]*)\.({'|'.join(_PACKED)})")
# Keys of meta that decide something, and what they hold.
_KINDS = {"model": str, "router_may_drop": bool, "max_new_tokens": int, "fingerprint": dict}
_SAID = {str: "a text", bool: "true or false", int: "a whole number", dict: "an object"}
_Chunks = Iterator[bytes]
# Counts of experts hardly repeat: zlib's usual level 6 makes them 6 % smaller than level 1, in eight times the time.
_LEVEL = 1


class Layers(Protocol):
    """What is written once, however many prompts there are; see `moexray.signatures.Signatures`."""

    @property
    def layers(self) -> NDArray[np.int16]: ...  # noqa: D102
    @property
    def top_k(self) -> NDArray[np.int16]: ...  # noqa: D102
    @property
    def experts(self) -> NDArray[np.int16]: ...  # noqa: D102
    @property
    def segments(self) -> tuple[Segment, ...]: ...  # noqa: D102
    @property
    def meta(self) -> Mapping[str, Any]: ...  # noqa: D102


class Parts(Layers, Protocol):
    """What is written: some prompts with their arrays."""

    @property
    def counts(self) -> NDArray[np.unsignedinteger[Any]]: ...  # noqa: D102
    @property
    def tokens(self) -> NDArray[np.int32]: ...  # noqa: D102
    @property
    def prompts(self) -> PromptTable: ...  # noqa: D102
    @property
    def mass(self) -> NDArray[np.float32] | None: ...  # noqa: D102


@dataclass(frozen=True)
class StoredParts:
    """What is read: counts, mass, texts, outputs and further columns stay in the file until they are asked for."""

    file: StoredFile
    counts: StoredArray
    tokens: NDArray[Any]
    prompts: PromptTable
    layers: NDArray[Any]
    top_k: NDArray[Any]
    experts: NDArray[Any] | None
    segments: tuple[Segment, ...]
    meta: Mapping[str, Any]
    mass: StoredArray | None


def write(path: Path, blocks: Callable[[], Iterable[Parts]], *, prompts: int, largest: int) -> None:
    """Write prompts that come some at a time, whole or not at all; their counts are never all in memory.

    Parameters
    ----------
    path
        The file.
    blocks
        Gives consecutive prompts, at least one block, as often as it is called; all have the same layers, meta and
        optional parts.
    prompts
        How many there are in all.
    largest
        The largest count of all, which decides the type of the counts.
    """
    write_members(path, _members(blocks, prompts, largest))


def write_members(path: Path, members: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write arrays as a compressed .npz, whole or not at all.

    Parameters
    ----------
    path
        The file.
    members
        The name of each array and its content, as an .npy file has it, in pieces; a content is used before the next.
    """
    with whole_file(path) as partial:
        fill_members(partial, members)


def fill_members(partial: Path, members: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write arrays, as `write_members`, to a file that is not there yet."""
    with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, chunks in members:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for chunk in chunks:
                    member.write(chunk)


def fingerprint(blocks: Callable[[], Iterable[Parts]], *, prompts: int, largest: int) -> str:
    """Return the fingerprint of the file that `write` would make of the same arguments."""
    return fingerprint_of_members(_members(blocks, prompts, largest))


def fingerprint_of_members(members: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """Return the fingerprint of the file that `write_members` would make of the same argument."""
    sums = {}
    for name, chunks in members:
        checksum = size = 0
        for chunk in chunks:
            checksum, size = zlib.crc32(chunk, checksum), size + memoryview(chunk).nbytes
        sums[f"{name}.npy"] = (checksum, size)
    return _digest(sums)


def fingerprint_of_file(file: StoredFile) -> str | None:
    """Return the fingerprint of a file from the checksums of its members, which its directory holds.

    None for a file of an earlier schema: it would have other members if it were written today.
    """
    with file.archive() as archive:
        if "segments.utf8.npy" not in archive.namelist():
            return None
        known = set(_known(archive.namelist()))
        members = [one for one in archive.infolist() if one.filename.removesuffix(".npy") in known]
        return _digest({member.filename: (member.CRC, member.file_size) for member in members})


def read(path: Path) -> StoredParts:
    """Read a file that `write` made, of this or of an earlier schema.

    Raises
    ------
    SignaturesError
        If the file is missing, damaged, foreign, of a newer schema, or lacks a part.
    """
    file = StoredFile.of(path)
    with file.archive() as archive:
        names = _known(archive.namelist())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = f"{path} is damaged: it holds {twice} twice"
        raise SignaturesError(message)
    meta = _meta(file, names)
    strings = {
        column: file.strings(name) if column in _LONG else tuple(file.strings(name))
        for column, name in STRINGS.items()
        if f"{name}.utf8" in names
    }
    further = tuple(file.strings("columns")) if "columns.utf8" in names else ()
    if len(set(further)) < len(further):
        message = f"{path}: two further columns have one name among {', '.join(further)}"
        raise SignaturesError(message)
    columns = {name: file.strings(f"column.{i}") for i, name in enumerate(further)}
    with naming(path):
        return StoredParts(
            file=file,
            counts=file.array("counts"),
            tokens=file.array("tokens").read(),
            prompts=PromptTable(**strings, columns=columns),
            layers=file.array("layers").read(),
            top_k=file.array("top_k").read(),
            experts=file.array("experts").read() if "experts" in names else None,
            segments=tuple(map(Segment.parse, file.strings("segments"))) if "segments.utf8" in names else PLAIN,
            meta=meta,
            mass=file.array("mass") if "mass" in names else None,
        )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its content."""
    try:
        yield
    except SignaturesError as error:
        if str(error).startswith(str(path)):
            raise
        message = f"{path}: {error}"
        raise SignaturesError(message) from error


def smallest_unsigned(counts: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return `counts` in the smallest unsigned type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def _members(
    blocks: Callable[[], Iterable[Parts]], prompts: int, largest: int
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield the name and the content of each member, in the order of the file; a content is used before the next."""
    dtype = smallest_unsigned(np.array(largest, dtype=np.uint64)).dtype
    small = _SmallParts()
    yield "counts", _rows(small.watch(blocks()), "counts", prompts, dtype)
    if small.last.mass is not None:
        yield "mass", _rows(blocks(), "mass", prompts, np.dtype(np.float32))
    for name, array in small.arrays().items():
        yield name, [npy_bytes(array)]


class _SmallParts:
    """Everything but counts and mass, gathered from blocks while their counts are written."""

    def __init__(self) -> None:
        self._tokens: list[NDArray[np.int32]] = []
        self._strings: dict[str, list[tuple[bytes, NDArray[np.int64]]]] = {}

    def watch(self, blocks: Iterable[Parts]) -> Iterator[Parts]:
        for block in blocks:
            self.last = block
            self._tokens.append(block.tokens)
            for name, strings in block.prompts.all_columns().items():
                self._strings.setdefault(name, []).append(_pack(strings))
            yield block

    def arrays(self) -> dict[str, NDArray[Any]]:
        last = self.last
        further = list(last.prompts.columns)
        found = dict(arrays_of_layers(last, np.concatenate(self._tokens)))
        for name, strings in self._strings.items():
            stored = stored_name(name, further)
            found[f"{stored}.utf8"], found[f"{stored}.offsets"] = _joined(strings)
        return {**found, **dict(arrays_at_end(last, further))}


def arrays_of_layers(parts: Layers, tokens: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the small arrays of numbers as the file has them, which stand before the texts."""
    yield "tokens", tokens.astype(np.int32)
    yield "layers", parts.layers.astype(np.int16)
    yield "top_k", parts.top_k.astype(np.int16)
    yield "experts", parts.experts.astype(np.int16)


def stored_name(column: str, further: Sequence[str]) -> str:
    """Return the name in the file of a column of the prompt table."""
    return f"column.{further.index(column)}" if column in further else STRINGS[column]


def arrays_at_end(parts: Layers, further: Sequence[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays after the columns of the prompt table: segments, names of further columns, meta."""
    named = {"segments": list(map(str, parts.segments)), **({"columns": list(further)} if further else {})}
    for name, strings in named.items():
        characters, offsets = _joined([_pack(strings)])
        yield f"{name}.utf8", characters
        yield f"{name}.offsets", offsets
    meta = json.dumps({**parts.meta, "schema": SCHEMA}, ensure_ascii=False, sort_keys=True)
    yield "meta", np.frombuffer(meta.encode(), dtype=np.uint8)


def _rows(blocks: Iterable[Parts], name: str, prompts: int, dtype: np.dtype[Any]) -> _Chunks:
    """Yield the header of an array of all prompts, then the rows of each block."""
    for number, block in enumerate(blocks):
        rows = np.ascontiguousarray(getattr(block, name), dtype=dtype)
        if not number:
            yield header_bytes((prompts, *rows.shape[1:]), dtype)
        yield rows.tobytes()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the content of an .npy file."""
    return header_bytes(array.shape, array.dtype) + np.ascontiguousarray(array).tobytes()


def header_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return what stands before the numbers in the content of an .npy file."""
    from io import BytesIO

    header: IO[bytes] = BytesIO()
    described = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(header, described)
    header.seek(0)
    return header.read()


def _digest(sums: Mapping[str, tuple[int, int]]) -> str:
    """Return a digest of the checksum and the size of each member."""
    lines = [f"{name} {checksum:08x} {size}\n" for name, (checksum, size) in sorted(sums.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _known(members: Sequence[str]) -> list[str]:
    """Return the names of those members that belong to signatures; whatever else is in the file is never read."""
    names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
    strings = (*STRINGS.values(), "segments", "columns")
    packed = {f"{name}.{part}" for name in strings for part in _PACKED}
    fixed = {*_ARRAYS, "experts", "mass", "meta", *packed}
    return [name for name in names if name in fixed or _FURTHER.fullmatch(name)]


def _meta(file: StoredFile, names: Sequence[str]) -> dict[str, Any]:
    """Return the meta of a file of a schema that is known, whose parts are all there."""
    path = file.path
    if "meta" not in names:
        message = f"{path} is not a file of signatures: it has no readable meta with a schema number"
        raise SignaturesError(message)
    try:
        meta: dict[str, Any] = strict_json.loads(file.characters("meta").read().tobytes().decode(), finite=True)
        schema = meta.pop("schema")
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        message = f"{path} is not a file of signatures: it has no readable meta with a schema number"
        raise SignaturesError(message) from error
    if type(schema) is not int or schema not in _READ:
        message = f"{path} has schema {schema!r}; this moexray reads up to schema {SCHEMA}: update moexray"
        raise SignaturesError(message)
    for key, kind in _KINDS.items():
        if type(meta.get(key)) not in (kind, type(None)):
            message = f"{path}: meta says that {key} is {reprlib.repr(meta[key])}, not {_SAID[kind]}"
            raise SignaturesError(message)
    needed = [*_ARRAYS, "categories.utf8", "prompt_ids.utf8"]
    if schema > 1:
        needed += ["experts", "segments.utf8"]
    packed = dict.fromkeys(name.rpartition(".")[0] for name in names if name.endswith(_PACKED))
    needed += [f"{name}.{part}" for name in packed for part in _PACKED]
    missing = [name for name in needed if name not in names]
    if missing:
        message = f"{path} is not a whole file of signatures: {', '.join(missing)} missing"
        raise SignaturesError(message)
    return meta


def _pack(strings: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    """Return all strings end to end as bytes, and how many bytes each has."""
    encoded = [string.encode() for string in strings]
    return b"".join(encoded), np.array([len(one) for one in encoded], dtype=np.int64)


def _joined(packed: Sequence[tuple[bytes, NDArray[np.int64]]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    lengths = np.concatenate([one for _, one in packed])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.frombuffer(b"".join(end_to_end for end_to_end, _ in packed), dtype=np.uint8), offsets
