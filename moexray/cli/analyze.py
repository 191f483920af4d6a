"""`moexray analyze`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    OUTPUT,
    FoldsOption,
    JsonOption,
    PermutationsOption,
    SeedOption,
    TokensOption,
    WeightingName,
    WeightingOption,
    out_option,
)
from moexray.cli.several import SeveralFiles, SeveralTraces, open_several
from moexray.errors import AnalysisError
from moexray.files import check_writable, is_same
from moexray.signatures import Signatures


def analyze(
    signatures: SeveralFiles = None,
    *,
    trace: SeveralTraces = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Signatures of other prompts by the same model: train the classifier on the first file, test it on "
            "this one.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    tokens: TokensOption = "all",
    by: WeightingOption = WeightingName.counts,
    permutations: PermutationsOption = 10_000,
    folds: FoldsOption = 5,
    seed: SeedOption = 0,
    specifications: Annotated[
        bool,
        typer.Option(
            "--specifications",
            help="Add the effect size under every other sensible choice of analysis.",
            rich_help_panel=ANALYSIS,
        ),
    ] = False,
    out: Annotated[Path, out_option(OUTPUT)] = DEFAULT_ANALYSIS,
    json: JsonOption = False,
) -> None:
    """Test whether routing signatures carry the categories of their prompts.

    Example: moexray analyze signatures.npz --tokens generated
    """
    check_writable(out)
    files, traces = signatures or [DEFAULT_FILE], trace or []
    if any(is_same(read, out) for read in (*files, *traces, *([] if test is None else [test]))):
        message = f"{out} is what is analyzed: name another file with `out`"
        raise AnalysisError(message)
    from moexray.cli.next_command import after_analysis
    from moexray.cli.render import print_page, print_result, say
    from moexray.cli.saved_analysis import analyze_with_progress
    from moexray.views.tables.analysis import analysis_page

    opened, traced = open_several(files, traces)
    analysis = analyze_with_progress(
        opened,
        tokens=tokens,
        weighting=by.value,
        permutations=permutations,
        folds=folds,
        seed=seed,
        specifications=specifications,
        trace=traced,
        test=None if test is None else Signatures.open(test),
    )
    analysis.save(out)
    if json:
        print_result(analysis)
        return
    print_page(analysis_page(analysis))
    say(f"wrote {out}")
    after_analysis(out, files, trace=traces[0] if traces else None)
