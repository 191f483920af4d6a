"""Importance matrices of llama.cpp (GGUF): how often calibration text selected each expert.

Source: llama.cpp ``tools/imatrix/imatrix.cpp`` and the specification of GGUF, version 3.
"""

import re
import struct
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.arrays import check_file, read_bytes
from moexray.importing.reading import Reading, check_uneven, layout_of, read_counts
from moexray.importing.stated import Stated

_COUNTS = re.compile(r"blk\.([0-9]{1,4})\.ffn_(?:gate|up|down|gate_up)_exps\.weight\.counts")
_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F32 = 0
_ALIGNMENT = 32
_LONGEST = 2**20
_MOST = 2**16
_MOST_EXACT = 2**24  # counts are stored as float32
_PROMPT = 0


def read_imatrix(source: Path, stated: Stated) -> Reading:
    """Open an importance matrix: see docs/import.md."""
    stated.refuse(["mapping", "prompts", "tokens_are"], source)
    of_layer = _counts_of(source)
    if not of_layer:
        message = f"{source} has no counts of experts: it is of a dense model, or of a form without counts"
        raise ImportingError(message)
    widths = {len(counts) for counts in of_layer.values()}
    if len(widths) > 1:
        message = f"{source} has layers of {', '.join(map(str, sorted(widths)))} experts, which is not read"
        raise ImportingError(message)
    stated.agree("num_experts", widths.copy().pop(), source)
    layers = stated.layers or tuple(sorted(of_layer))
    missing = [layer for layer in layers if layer not in of_layer]
    if missing:
        message = (
            f"{source} has no counts of layer {missing[0]}: it has those of {', '.join(map(str, sorted(of_layer)))}"
        )
        raise ImportingError(message)
    top_k = stated.need("top_k", source, "how many experts a token is sent to")
    layout = layout_of(layers, widths.pop(), top_k, source)
    counts = np.stack([of_layer[layer] for layer in layers])
    check_uneven(counts, layout, source, cause="it was converted from the older form, which had no counts of experts")
    return read_counts(counts, layout, stated, segment=_PROMPT, files=(source,), name=source.stem)


def _counts_of(path: Path) -> dict[int, NDArray[np.int64]]:
    """Return the counts of each layer; those of its gate, up and down matrices must agree."""
    check_file(path)
    found: dict[int, NDArray[np.int64]] = {}
    try:
        with path.open("rb") as file:
            reader = _Gguf(file, path)
            for name, shape, offset in reader.tensors():
                named = _COUNTS.fullmatch(name)
                if named is None:
                    continue
                counts = reader.numbers(name, shape, offset)
                if not np.array_equal(found.setdefault(int(named[1]), counts), counts):
                    message = f"{path}: {name} and the other matrices of its layer do not count alike"
                    raise ImportingError(message)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error
    return found


class _Gguf:
    """The header of a GGUF file, read on from its start."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        magic = file.read(4)
        if magic != b"GGUF":
            message = f"{path} is no GGUF file: importance matrices of before 2025 (.dat) have no counts of experts"
            raise ImportingError(message)
        version, tensors, entries = self._read("<IQQ")
        if version not in (2, 3) or max(tensors, entries) > _MOST:
            message = (
                f"{path} is GGUF of version {version} with {tensors:,} tensors and {entries:,} keys: it is not read"
            )
            raise ImportingError(message)
        known = {}
        for _ in range(entries):
            key = self._string()
            known[key] = self._value(*self._read("<I"), depth=0)
        if known.get("general.type") != "imatrix":
            message = (
                f"{path} is GGUF of type {str(known.get('general.type'))[:40]!r}, not an importance matrix (imatrix)"
            )
            raise ImportingError(message)
        self._tensors = [self._tensor() for _ in range(tensors)]
        alignment = known.get("general.alignment", _ALIGNMENT)
        if type(alignment) is not int or not 0 < alignment <= _MOST:
            message = f"{path} has the alignment {alignment!r}"
            raise ImportingError(message)
        self._start = -(-file.tell() // alignment) * alignment

    def tensors(self) -> list[tuple[str, tuple[int, ...], int]]:
        """Return the name, shape and place of each tensor of float32."""
        return [(name, shape, offset) for name, shape, kind, offset in self._tensors if kind == _F32]

    def numbers(self, name: str, shape: tuple[int, ...], offset: int) -> NDArray[np.int64]:
        """Return the counts that a tensor holds."""
        size = prod(shape)
        if size > _MOST:
            message = f"{self._path}: {name} has {size:,} experts"
            raise ImportingError(message)
        self._file.seek(self._start + min(offset, 2**62))
        values = np.frombuffer(read_bytes(self._file, 4 * size, f"{self._path}, {name}"), "<f4")
        if not np.isfinite(values).all() or (values != np.floor(values)).any() or (values < 0).any():
            message = f"{self._path}: {name} holds something other than counts"
            raise ImportingError(message)
        if (values >= _MOST_EXACT).any():
            message = f"{self._path}: {name} counts {values.max():,.0f}: from {_MOST_EXACT:,} on the file rounds counts"
            raise ImportingError(message)
        return values.astype(np.int64)

    def _read(self, form: str) -> tuple[Any, ...]:
        content = read_bytes(self._file, struct.calcsize(form), str(self._path))
        return struct.unpack(form, content)

    def _string(self) -> str:
        (length,) = self._read("<Q")
        if length > _LONGEST:
            message = f"{self._path} has a text of {length:,} bytes in its header: it is damaged"
            raise ImportingError(message)
        return bytes(read_bytes(self._file, length, str(self._path))).decode("utf-8", "replace")

    def _value(self, kind: int, *, depth: int) -> Any:
        if kind in _PLAIN:
            return self._read(f"<{_PLAIN[kind]}")[0]
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY or depth > 2:
            message = f"{self._path} has a value of kind {kind} in its header: it is damaged"
            raise ImportingError(message)
        inner, length = self._read("<IQ")
        if length > _MOST:
            message = f"{self._path} has an array of {length:,} values in its header: it is no importance matrix"
            raise ImportingError(message)
        return [self._value(inner, depth=depth + 1) for _ in range(length)]

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        (axes,) = self._read("<I")
        if axes > 4:
            message = f"{self._path} has a tensor of {axes} axes: it is damaged"
            raise ImportingError(message)
        shape = self._read(f"<{axes}Q")
        kind, offset = self._read("<IQ")
        return name, shape, kind, offset
