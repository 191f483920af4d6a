"""Arguments and options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = Path("signatures.npz")

SignaturesFile = Annotated[Path, typer.Argument(help="File that `moexray capture` wrote.", show_default=True)]


class PhaseName(StrEnum):
    """Whose tokens are looked at."""

    prompt = "prompt"
    generated = "generated"
    all = "all"


PhaseOption = Annotated[
    PhaseName, typer.Option("--phase", help="Tokens of the prompt (prefill), those generated (decode), or all.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
