"""Options that say what prompts are read from."""

from typing import Annotated

import typer

PromptsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Folder of .txt, .jsonl, .csv or .parquet files (name = category), such a file, - for JSON Lines from "
        "standard input, hf:NAME or hf:NAME:CONFIGURATION for a Hugging Face data set, or a folder that one was "
        "saved to; may be given several times. By default the 80 prompts that come with moexray."
    ),
]
TextColumnOption = Annotated[
    str | None, typer.Option(help="Column or key of texts or chats; by default text, prompt or messages.")
]
CategoryColumnOption = Annotated[
    str | None, typer.Option(help="Column or key of categories; by default category or label.")
]
IdColumnOption = Annotated[str | None, typer.Option(help="Column or key of ids; by default id.")]
GroupColumnOption = Annotated[
    str | None, typer.Option(help="Column or key of what a prompt must not be split from; by default group.")
]
SplitOption = Annotated[str | None, typer.Option(help="Split of a Hugging Face data set, where it has several.")]
