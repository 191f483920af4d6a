"""`moexray report`."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moexray.cli.flags import given
from moexray.cli.options import (
    DEFAULT_FILE,
    INPUT,
    OUTPUT,
    AnalysisOption,
    SavedFoldsOption,
    SavedPermutationsOption,
    SavedSeedOption,
    SavedTokensOption,
    SavedWeightingOption,
    TraceOption,
    out_option,
)
from moexray.cli.render import say
from moexray.errors import MissingExtra

if TYPE_CHECKING:
    from moexray.views.report.report import Report


def report(
    file: Annotated[
        Path,
        typer.Argument(
            help="Signatures; or an analysis, or another result, for a page without prompts.", show_default=True
        ),
    ] = DEFAULT_FILE,
    *,
    analysis: AnalysisOption = None,
    result: Annotated[
        list[Path] | None,
        typer.Option(
            help="What another command printed with --json, of these signatures or of their model: a page of the "
            "report; may be given several times.",
            rich_help_panel=INPUT,
        ),
    ] = None,
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
    beside the signatures is shown where there is one. Results of other commands become pages of it.

    Example: moexray report --result batch.json --result cache.json --open
    """
    if not math.isfinite(max_size) or max_size <= 0:
        message = f"--max-size is {max_size:g}: give megabytes, above 0"
        raise typer.BadParameter(message)
    from moexray.cli.figure_inputs import is_result
    from moexray.files import check_writable
    from moexray.views.report.report import MEGABYTE

    check_writable(out)
    options = given(tokens=tokens, weighting=by, permutations=permutations, folds=folds, seed=seed)
    make = _of_results if is_result(file) else _of_signatures
    most = int(min(max_size * MEGABYTE, sys.maxsize))
    page = make(file, analysis, trace, result or [], options=options, most_bytes=most)
    size = write_page(page, out)
    for remark in page.remarks:
        say(remark, err=True)
    say(f"wrote {out} ({size / MEGABYTE:.1f} MB): open it in a browser")
    if open:
        open_page(out)


def _of_signatures(
    file: Path,
    analysis: Path | None,
    trace: Path | None,
    results: list[Path],
    *,
    options: Mapping[str, Any],
    most_bytes: int,
) -> "Report":
    """Return the report of signatures and their analysis."""
    from moexray.cli.report_pictures import pictures_near
    from moexray.cli.saved_analysis import find_saved, saved_or_new
    from moexray.files import find_companion
    from moexray.model_fingerprint import weights_of
    from moexray.recording.recorders.trace import TRACE
    from moexray.signatures import Signatures
    from moexray.trace import Trace
    from moexray.views.report.report import report as made
    from moexray.views.report.studies import read_studies

    signatures = Signatures.open(file)
    meta = signatures.meta
    studies = read_studies(
        results, fingerprint=signatures.fingerprint, model=meta.get("model"), weights=weights_of(meta)
    )
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
    return made(
        saved_or_new(saved, signatures, given=options),
        signatures,
        trace=opened,
        file=str(file),
        made=f"Analysis of {file}",
        most_bytes=most_bytes,
        picture_of=pictures_near(file),
        studies=studies,
    )


def _of_results(
    file: Path,
    analysis: Path | None,
    trace: Path | None,
    results: list[Path],
    *,
    options: Mapping[str, Any],
    most_bytes: int,
) -> "Report":
    """Return the report of an analysis, or of other studies, without the signatures."""
    from moexray.cli.figure_inputs import StudyInputs, open_result
    from moexray.views.report.alone import of_what, report_alone, report_of_studies
    from moexray.views.report.studies import Given, read_studies

    opened = open_result(file, analysis=analysis, trace=trace, options=options)
    if isinstance(opened, StudyInputs):
        fingerprint, model = of_what(opened.result)
        own = Given(opened.kind, opened.result, file)
        studies = read_studies(results, fingerprint=fingerprint, model=model, first=[own])
        return report_of_studies(studies, made=f"{file}, without an analysis", most_bytes=most_bytes)
    found = opened.saved.analysis
    assert found is not None  # a result without signatures is the analysis itself
    about = found.signatures
    studies = read_studies(results, fingerprint=about.fingerprint, model=about.model)
    return report_alone(found, made=f"{file}, without its signatures", most_bytes=most_bytes, studies=studies)


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
