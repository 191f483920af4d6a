"""`moexray merge`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.capture import describe
from moexray.cli.next_command import after_signatures
from moexray.cli.options import DEFAULT_FILE, out_option
from moexray.cli.render import say
from moexray.files import companion
from moexray.merging import merge_files
from moexray.recording.recorders.trace import TRACE
from moexray.signatures import Signatures


def merge(
    files: Annotated[list[Path], typer.Argument(help="Signatures of the same model and settings.")],
    *,
    out: Annotated[Path, out_option()] = DEFAULT_FILE,
) -> None:
    """Join captures of different prompts, or the shards of one, into one file, with the traces beside them.

    Example: moexray merge monday.npz tuesday.npz --out both.npz
    """
    merged = merge_files(files, out)
    for note in merged.notes:
        say(note, err=True)
    whole = Signatures.open(out)
    say(describe(whole))
    for file in merged.files:
        say(f"wrote {file}")
    trace = companion(out, TRACE.suffix)
    after_signatures(out, whole, trace=trace if trace in merged.files else None)
