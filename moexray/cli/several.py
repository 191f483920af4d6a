"""Signatures of several files, and their traces, that a command reads as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import INPUT
from moexray.errors import TraceError
from moexray.formats import count
from moexray.merging import trace_of, view_of
from moexray.signatures import Signatures
from moexray.trace import Trace

SeveralFiles = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Signatures that `moexray capture` wrote. Several are read as `moexray merge` would join them, and the "
        "shards of one capture as the capture of all its prompts.",
        show_default="signatures.npz",
    ),
]
SeveralTraces = Annotated[
    list[Path] | None,
    typer.Option(
        help="Trace that `moexray capture --record trace` wrote: adds what tokens explain. Of several files of "
        "signatures, give each one's, in the same order.",
        rich_help_panel=INPUT,
    ),
]


def open_several(files: Sequence[Path], traces: Sequence[Path]) -> tuple[Signatures, Trace | None]:
    """Open signatures, and their traces where there are some, as one; no counts are read.

    Raises
    ------
    SignaturesError
        If a file cannot be read, or they are not captures of different prompts by one model.
    TraceError
        If a trace cannot be read, or there is not one for each file.
    """
    parts = [Signatures.open(file) for file in files]
    if traces and len(traces) != len(files):
        message = (
            f"{count(len(traces), 'trace')} and {count(len(files), 'file')} of signatures: give `trace` once for each "
            "file, in the same order"
        )
        raise TraceError(message)
    opened = [Trace.open(trace, part) for trace, part in zip(traces, parts, strict=False)]
    whole = view_of(parts)
    return whole, trace_of(opened, whole) if opened else None
