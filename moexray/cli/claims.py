"""`moexray claims`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.flags import given
from moexray.cli.options import (
    DEFAULT_FILE,
    INPUT,
    OUTPUT,
    AnalysisOption,
    JsonOption,
    SavedFoldsOption,
    SavedPermutationsOption,
    SavedSeedOption,
    SavedTokensOption,
    SavedWeightingOption,
    SignaturesFile,
    TraceOption,
)
from moexray.signatures import Signatures
from moexray.trace import Trace


def claims(
    signatures: SignaturesFile = DEFAULT_FILE,
    *,
    claims: Annotated[
        Path | None,
        typer.Option(
            help="Claims of another study: a file, or olmoe_workloads, which comes with moexray. Default: those of "
            "arXiv:2603.11114.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    result: Annotated[
        list[Path] | None,
        typer.Option(
            help="What another command printed with --json, for claims about it: batch, cache, coverage, place or "
            "ablate; may be given several times.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    analysis: AnalysisOption = None,
    trace: TraceOption = None,
    tokens: SavedTokensOption = None,
    by: SavedWeightingOption = None,
    permutations: SavedPermutationsOption = None,
    folds: SavedFoldsOption = None,
    seed: SavedSeedOption = None,
    json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Check published claims: the value here, the test that decides, and a verdict.

    The numbers are those of the saved analysis; without one that fits, the signatures are analyzed anew.

    Example: moexray claims signatures.npz --claims my_claims.toml --markdown
    """
    if json and markdown:
        message = "--json and --markdown are two outputs: choose one"
        raise typer.BadParameter(message)
    from moexray.claims.check import check_claims
    from moexray.claims.given_results import read_given
    from moexray.claims.study_file import read_study, shipped_study
    from moexray.cli.render import print_page, print_result, say
    from moexray.cli.saved_analysis import find_saved, saved_or_new
    from moexray.views.markdown import markdown_page
    from moexray.views.tables.claims import claims_document, claims_page

    study = shipped_study() if claims is None else read_study(claims)
    opened = Signatures.open(signatures)
    results = read_given(result or [], opened)
    options = given(tokens=tokens, weighting=by, permutations=permutations, folds=folds, seed=seed)
    saved = find_saved(signatures, opened, named=analysis, given=options)
    tokens_of = None if trace is None else Trace.open(trace, opened)
    found = saved_or_new(saved, opened, given=options, trace=tokens_of)
    report = check_claims(opened, found, study, results=results)
    if json:
        print_result(report)
    elif markdown:
        for line in markdown_page(claims_document(report)).splitlines():
            say(line)
    else:
        print_page(claims_page(report))
