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


class WeightingName(StrEnum):
    """What signatures are shares of."""

    counts = "counts"
    mass = "mass"


PhaseOption = Annotated[
    PhaseName, typer.Option("--phase", help="Tokens of the prompt (prefill), those generated (decode), or all.")
]
WeightingOption = Annotated[
    WeightingName,
    typer.Option("--by", help="Signatures as shares of selections (counts), or of gate weights (mass) where recorded."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
