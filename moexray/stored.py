"""A file of signatures that is read in blocks of prompts: what there is too much of is never whole in memory."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.signatures import Phase, Signatures, block_size, of_phase
from moexray.signatures_checks import check_ids
from moexray.signatures_file import naming, read, read_arrays, read_meta, readable, unpack

_LONG = ("counts", "mass", "texts.utf8", "outputs.utf8", "outputs.offsets")


@dataclass(frozen=True, eq=False)
class StoredSignatures:
    """A file of signatures, of which all is in memory but counts, mass, texts and outputs.

    Attributes
    ----------
    path
        The file.
    shape
        Prompts, phases, layers, experts.
    tokens, categories, prompt_ids, layers, top_k, meta, groups
        As in `moexray.signatures.Signatures`.
    has_mass
        Whether gate mass was recorded.
    """

    path: Path
    shape: tuple[int, ...]
    tokens: NDArray[np.int32]
    categories: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    layers: NDArray[np.int16]
    top_k: NDArray[np.int16]
    meta: Mapping[str, Any]
    groups: tuple[str, ...] | None
    text_offsets: NDArray[np.int64] | None
    has_mass: bool

    @staticmethod
    def open(path: str | Path) -> "StoredSignatures":
        """Read all but counts, mass, texts and outputs; a block's counts are checked when it is read.

        Raises
        ------
        SignaturesError
            If the file is missing, damaged, foreign, of a newer schema, or these arrays disagree.
        """
        path = Path(path)
        arrays = read_arrays(path, but=_LONG)
        meta = read_meta(arrays, path)
        with readable(path), zipfile.ZipFile(path) as archive, archive.open("counts.npy") as member:
            shape = _header(member)[0]
        with naming(path):
            found = StoredSignatures(
                path=path,
                shape=shape,
                tokens=arrays["tokens"],
                categories=unpack(arrays, "categories"),
                prompt_ids=unpack(arrays, "prompt_ids"),
                layers=arrays["layers"],
                top_k=arrays["top_k"],
                meta=meta,
                groups=unpack(arrays, "groups") if "groups.utf8" in arrays else None,
                text_offsets=arrays.get("texts.offsets"),
                has_mass="mass" in arrays,
            )
            _check(found)
        return found

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def has_tokens(self, phase: Phase = "all") -> NDArray[np.bool_]:  # (prompts,)
        """Which prompts have a routed token in `phase`, and so a signature."""
        return np.asarray(of_phase(self.tokens, phase) > 0)

    def load(self) -> Signatures:
        """Read the whole file into memory."""
        return read(self.path)

    def blocks(self) -> Iterator[Signatures]:
        """Yield the prompts in order, some thousands at a time, without texts and outputs; each is checked."""
        names = ("counts", "mass") if self.has_mass else ("counts",)
        with readable(self.path), ExitStack() as opened:
            archive = opened.enter_context(zipfile.ZipFile(self.path))
            members = [opened.enter_context(archive.open(f"{name}.npy")) for name in names]
            headers = [_header(member) for member in members]
            if any(in_columns for _, in_columns, _ in headers):
                yield from self.load().blocks()
                return
            size = block_size(*self.shape[2:])
            for start in range(0, self.shape[0], size):
                rows = slice(start, min(start + size, self.shape[0]))
                arrays = [
                    _numbers(member, (rows.stop - start, *shape[1:]), dtype)
                    for member, (shape, _, dtype) in zip(members, headers, strict=True)
                ]
                yield self._block(rows, *arrays)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Signatures:
        """Read the prompts at these places, which ascend, with their texts."""
        chosen = np.asarray(rows, dtype=np.int64)
        counts, masses, start = [], [], 0
        for block in self.blocks():
            inside = chosen[(chosen >= start) & (chosen < start + len(block))] - start
            counts.append(block.counts[inside])
            if block.mass is not None:
                masses.append(block.mass[inside])
            start += len(block)
        return Signatures(
            counts=np.concatenate(counts),
            tokens=self.tokens[chosen],
            categories=tuple(self.categories[i] for i in chosen),
            prompt_ids=tuple(self.prompt_ids[i] for i in chosen),
            layers=self.layers,
            top_k=self.top_k,
            meta=self.meta,
            texts=None if self.text_offsets is None else self._texts(chosen, self.text_offsets),
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
            mass=np.concatenate(masses) if self.has_mass else None,
        )

    def _block(self, rows: slice, counts: NDArray[Any], mass: NDArray[Any] | None = None) -> Signatures:
        with naming(self.path):
            return Signatures(
                counts=counts,
                tokens=self.tokens[rows],
                categories=self.categories[rows],
                prompt_ids=self.prompt_ids[rows],
                layers=self.layers,
                top_k=self.top_k,
                meta=self.meta,
                groups=None if self.groups is None else self.groups[rows],
                mass=mass,
            )

    def _texts(self, rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> tuple[str, ...]:
        with readable(self.path), zipfile.ZipFile(self.path) as archive, archive.open("texts.utf8.npy") as member:
            _header(member)
            first = member.tell()
            texts = []
            for row in rows:
                member.seek(first + int(offsets[row]))
                texts.append(member.read(int(offsets[row + 1] - offsets[row])).decode())
            return tuple(texts)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array: its shape, whether columns come first, and its type."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(member)
    if version not in readers:
        message = f"an array is of NumPy's format {version}, which no file of signatures needs"
        raise ValueError(message)
    shape, in_columns, dtype = readers[version](member)
    if dtype.hasobject:
        message = "Object arrays cannot be loaded when allow_pickle=False"
        raise ValueError(message)
    return shape, in_columns and len(shape) > 1, dtype


def _numbers(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    size = int(np.prod(shape)) * dtype.itemsize
    content = member.read(size)
    if len(content) < size:
        message = "the counts end too early"
        raise EOFError(message)
    return np.frombuffer(content, dtype).reshape(shape)


def _check(stored: StoredSignatures) -> None:
    """Check what no block can see: that the parts are as long as each other, and that ids are unique."""
    prompts = len(stored.prompt_ids)
    lengths = {
        "counts": stored.shape[0] if len(stored.shape) == 4 else -1,
        "tokens": len(stored.tokens) if stored.tokens.ndim == 2 else -1,
        "categories": len(stored.categories),
        "groups": prompts if stored.groups is None else len(stored.groups),
        "texts": prompts if stored.text_offsets is None else len(stored.text_offsets) - 1,
    }
    for name, length in lengths.items():
        if length != prompts:
            message = f"{name} do not fit {prompts} prompts"
            raise SignaturesError(message)
    check_ids(stored.prompt_ids)
