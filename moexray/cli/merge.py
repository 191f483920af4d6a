"""`moexray merge`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.capture import describe
from moexray.cli.options import DEFAULT_FILE, out_option
from moexray.cli.render import say
from moexray.files import check_writable
from moexray.merging import merge as join
from moexray.signatures import Signatures


def merge(
    files: Annotated[list[Path], typer.Argument(help="Signatures of the same model and settings.")],
    *,
    out: Annotated[Path, out_option()] = DEFAULT_FILE,
) -> None:
    """Join captures of different prompts into one file.

    Example: moexray merge monday.npz tuesday.npz --out both.npz
    """
    check_writable(out)
    join([Signatures.open(file) for file in files]).save(out)
    say(describe(Signatures.open(out)))
    say(f"wrote {out}")
