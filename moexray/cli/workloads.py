"""What the commands on workloads share: the trace beside signatures, and options that are lists of numbers."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import ANALYSIS, OUTPUT
from moexray.errors import TraceError
from moexray.files import companion, find_companion
from moexray.signatures import Signatures
from moexray.trace import Trace

ExpertBytesOption = Annotated[
    int | None,
    typer.Option(
        help="Bytes of one expert, of every layer; by default as the capture recorded it.", rich_help_panel=ANALYSIS
    ),
]
FigureOption = Annotated[
    Path | None, typer.Option("--figure", help="Draw it to this .png, .svg or .pdf file.", rich_help_panel=OUTPUT)
]

WidthOption = Annotated[
    str | None,
    typer.Option(
        metavar="VENUE|INCHES",
        help="Width for print, with text of 7 and 8 points: icml, neurips, cvpr-page or another venue, or inches.",
        rich_help_panel=OUTPUT,
    ),
]


def opened_trace(file: Path, trace: Path | None) -> Trace:
    """Open signatures and their trace, by default the file beside them.

    Raises
    ------
    TraceError
        If there is none.
    """
    signatures = Signatures.open(file)
    found = trace or find_companion(file, "trace.parquet")
    if found is None:
        message = (
            f"there is no trace {companion(file, 'trace.parquet')} beside {file}: `moexray capture --record trace` "
            "writes both, or name one with --trace"
        )
        raise TraceError(message)
    return Trace.open(found, signatures)


def whole_numbers(text: str, *, option: str) -> tuple[int, ...]:
    """Return the whole numbers of a text with commas; wrong usage if one is none."""
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() and len(part.strip()) < 10 for part in parts):
        message = f"{option} is {text!r}: write whole numbers with commas, such as 1,8,32"
        raise typer.BadParameter(message)
    return tuple(map(int, parts))
