"""Writing what was read: signatures, and beside them a trace where every token's routing and id are known."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from moexray.errors import ImportingError
from moexray.files import check_writable, companion, owner_of_companions
from moexray.importing.reading import ImportedPrompt, Reading
from moexray.importing.stated import SEGMENTS
from moexray.prompt_table import PromptTable
from moexray.routing import RoutedSequence
from moexray.segments import PLAIN
from moexray.signatures import Signatures, save_blocks
from moexray.signatures_file import smallest_unsigned
from moexray.trace_file import write_trace
from moexray.version import __version__

_BLOCK_CELLS = 2**22
_MOST_BYTES = 2**32
_CHUNK = 2**20
TRACE = "trace.parquet"


@dataclass(frozen=True)
class Written:
    """The files that an import wrote; `trace` is None where the recording does not tell enough for one."""

    signatures: Path
    trace: Path | None


def check_files(out: Path) -> None:
    """Raise MoexrayError, before a long file is read, if signatures or a trace beside them cannot be written.

    A trace that may belong to signatures of a like name is not replaced.
    """
    trace, owner = companion(out, TRACE), owner_of_companions(out)
    check_writable(out)
    check_writable(trace)
    if owner is not None and trace.exists():
        message = f"{trace} may belong to {owner}, and would be replaced: name another `out`"
        raise ImportingError(message)


def write(reading: Reading, format_name: str, out: Path) -> Written:
    """Write signatures and, where it can be, a trace beside them; prompts are read twice for a trace.

    Raises
    ------
    ImportingError
        If what is read breaks a rule: see `moexray.importing.reading`.
    """
    blocks = _blocks(reading, _meta(reading, format_name))
    if not blocks:
        message = f"{reading.files[0]} holds no prompt"
        raise ImportingError(message)
    _check_first_expert(reading, blocks)
    ids = [name for block in blocks for name in block.prompts.ids]
    PromptTable(ids, ids)  # ids of several blocks may be the same
    largest = max(int(block.counts.max(initial=0)) for block in blocks)
    trace = companion(out, TRACE) if reading.has_sequences else None
    if trace is not None:
        write_trace(trace, _sequences(reading), ids, reading.layout, None, weights=False)
    save_blocks(lambda: blocks, out, prompts=len(ids), largest=largest)
    return Written(out, trace)


def _sequences(reading: Reading) -> Iterator[RoutedSequence]:
    for prompt in reading.prompts():
        assert prompt.sequence is not None
        yield prompt.sequence


def _blocks(reading: Reading, meta: dict[str, Any]) -> list[Signatures]:
    """Return the signatures of some prompts each, in the smallest numbers that hold their counts."""
    layout, found, size = reading.layout, [], 0
    several = max(1, _BLOCK_CELLS // (len(SEGMENTS) * len(layout.layers) * max(layout.experts)))
    prompts = reading.prompts()
    mixed = None
    while some := list(islice(prompts, several)):
        counts, tokens = np.stack([one.counts for one in some]), np.stack([one.tokens for one in some])
        has_mixed = bool(tokens[:, len(PLAIN)].any())
        if mixed is not None and mixed != has_mixed:
            message = f"{reading.files[0]} tells phases apart in some prompts only"
            raise ImportingError(message)
        mixed = has_mixed
        kept = len(SEGMENTS) if mixed else len(PLAIN)
        found.append(
            Signatures(
                counts=smallest_unsigned(counts[:, :kept]),
                tokens=tokens[:, :kept].astype(np.int32),
                prompts=_table(some),
                layers=np.array(layout.layers, dtype=np.int16),
                top_k=np.array(layout.top_k, dtype=np.int16),
                experts=np.array(layout.experts, dtype=np.int16),
                segments=SEGMENTS[:kept],
                meta=meta,
            )
        )
        size += found[-1].counts.nbytes
        if size > _MOST_BYTES:
            message = f"{reading.files[0]} has counts of more than {_MOST_BYTES:,} bytes: import it in parts, and merge"
            raise ImportingError(message)
    return found


def _table(prompts: list[ImportedPrompt]) -> PromptTable:
    def column(name: str) -> tuple[str, ...] | None:
        values = [getattr(one, name) for one in prompts]
        return None if values[0] is None else tuple(value or "" for value in values)

    return PromptTable(
        ids=tuple(one.id for one in prompts),
        categories=tuple(one.category for one in prompts),
        groups=column("group"),
        texts=column("text"),
        outputs=column("output"),
    )


def _check_first_expert(reading: Reading, blocks: list[Signatures]) -> None:
    """Refuse a layer with k = 1 whose every token went to expert 0: rows that were never written look so."""
    for place, (layer, k) in enumerate(zip(reading.layout.layers, reading.layout.top_k, strict=True)):
        others = any(block.counts[:, :, place, 1:].any() for block in blocks)
        if k == 1 and reading.layout.experts[place] > 1 and not others:
            message = (
                f"{reading.files[0]}: every token of layer {layer} is sent to expert 0, as in rows that were never "
                "written: the recording is not whole, or the layer is dense"
            )
            raise ImportingError(message)


def _meta(reading: Reading, format_name: str) -> dict[str, Any]:
    first = reading.files[0]
    files = {path.name: _digest(path) for path in reading.files}
    unknown = [*reading.unknown, *(["model"] if reading.model is None else [])]
    one_file = {"source": first.name, "sha256": files[first.name]}
    imported = {
        "format": format_name,
        **(one_file if len(files) == 1 else {"sources": files}),
        "unknown": unknown,
        **reading.notes,
    }
    known = {} if reading.model is None else {"model": reading.model}
    return {**known, "engine": "import", "imported": imported, "moexray": __version__}


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error
    return found.hexdigest()
