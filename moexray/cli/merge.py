"""`moexray merge`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.capture import describe
from moexray.cli.options import DEFAULT_FILE, out_option
from moexray.cli.render import say
from moexray.merging import merge_files
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
    say(describe(Signatures.open(out)))
    for file in merged.files:
        say(f"wrote {file}")
