"""Arguments and options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = Path("signatures.npz")

SignaturesFile = Annotated[Path, typer.Argument(help="File that `moexray capture` wrote.", show_default=True)]


PromptsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Folder of .txt, .jsonl, .csv or .parquet files (name = category), such a file, - for JSON Lines from "
        "standard input, hf:NAME or hf:NAME:CONFIGURATION for a Hugging Face data set, or the folder of a saved data "
        "set; may be given several times. By default the 80 prompts that come with moexray.",
        rich_help_panel="Prompts",
    ),
]
TextColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Column or key of texts or chats; by default text, prompt or messages.", rich_help_panel="Prompts"
    ),
]
CategoryColumnOption = Annotated[
    str | None,
    typer.Option(help="Column or key of categories; by default category or label.", rich_help_panel="Prompts"),
]
IdColumnOption = Annotated[
    str | None, typer.Option(help="Column or key of ids; by default id.", rich_help_panel="Prompts")
]
GroupColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Column or key of the unit (template, source) that a prompt belongs to; by default group.",
        rich_help_panel="Prompts",
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(help="Split of a Hugging Face data set, where it has several.", rich_help_panel="Prompts"),
]


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
