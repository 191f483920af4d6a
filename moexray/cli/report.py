"""`moexray report`."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moexray.cli.flags import given
from moexray.cli.options import (
    DEFAULT_FILE,
    OUTPUT,
    AnalysisOption,
    SavedFoldsOption,
    SavedPermutationsOption,
    SavedSeedOption,
    SavedTokensOption,
    SavedWeightingOption,
    SignaturesFile,
    TraceOption,
    out_option,
)
from moexray.cli.render import say
from moexray.errors import MissingExtra

if TYPE_CHECKING:
    from moexray.views.report.report import Report


def report(
    file: SignaturesFile = DEFAULT_FILE,
    *,
    analysis: AnalysisOption = None,
    trace: TraceOption = None,
    tokens: SavedTokensOption = None,
    by: SavedWeightingOption = None,
    permutations: SavedPermutationsOption = None,
    folds: SavedFoldsOption = None,
    seed: SavedSeedOption = None,
    out: Annotated[Path, out_option(OUTPUT)] = Path("report.html"),
    max_size: Annotated[
        float,
        typer.Option(
            help="The most megabytes that the report may take; it says what it leaves out.", rich_help_panel=OUTPUT
        ),
    ] = 25.0,
    open: Annotated[
        bool, typer.Option("--open", help="Open the report in the browser.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Write a page to explore an analysis in: one HTML file that needs no network.

    The numbers are those of the saved analysis; without one that fits, the signatures are analyzed anew. The trace
    beside the signatures is shown where there is one.

    Example: moexray report --out report.html --open
    """
    if not math.isfinite(max_size) or max_size <= 0:
        message = f"--max-size is {max_size:g}: give megabytes, above 0"
        raise typer.BadParameter(message)
    from moexray.cli.report_pictures import pictures_near
    from moexray.cli.saved_analysis import find_saved, saved_or_new
    from moexray.files import check_writable, find_companion
    from moexray.recording.recorders.trace import TRACE
    from moexray.signatures import Signatures
    from moexray.trace import Trace
    from moexray.views.report.report import MEGABYTE
    from moexray.views.report.report import report as made

    check_writable(out)
    signatures = Signatures.open(file)
    options = given(tokens=tokens, weighting=by, permutations=permutations, folds=folds, seed=seed)
    saved = find_saved(file, signatures, named=analysis, given=options)
    opened = None
    found = trace or find_companion(file, TRACE.suffix)
    if found is not None:
        try:
            opened = Trace.open(found, signatures)
        except MissingExtra as error:
            if trace is not None:
                raise
            say(f"the report shows no tokens: {error}", err=True)
    result = saved_or_new(saved, signatures, given=options)
    page = made(
        result,
        signatures,
        trace=opened,
        file=str(file),
        made=f"Analysis of {file}",
        most_bytes=int(min(max_size * MEGABYTE, sys.maxsize)),
        picture_of=pictures_near(file),
    )
    size = write_page(page, out)
    for remark in page.remarks:
        say(remark, err=True)
    say(f"wrote {out} ({size / MEGABYTE:.1f} MB): open it in a browser")
    if open:
        open_page(out)


def write_page(page: "Report", out: Path) -> int:
    """Write a page whole, or not at all; return its size in bytes."""
    from moexray.files import whole_file

    text = page.html.encode("utf-8")
    with whole_file(out) as partial:
        partial.write_bytes(text)
    return len(text)


def open_page(out: Path) -> None:
    """Open a page in the browser that the system would take."""
    import webbrowser

    webbrowser.open(out.resolve().as_uri())
