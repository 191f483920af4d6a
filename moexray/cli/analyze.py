"""`moexray analyze`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moexray.cli.options import (
    DEFAULT_FILE,
    PhaseName,
    PhaseOption,
    SeedOption,
    SignaturesFile,
    WeightingName,
    WeightingOption,
)
from moexray.cli.progress import step_progress
from moexray.files import check_writable
from moexray.signatures import Signatures
from moexray.trace import Trace

if TYPE_CHECKING:
    from moexray.studies.analysis import Analysis


def analyze(
    signatures: SignaturesFile = DEFAULT_FILE,
    *,
    phase: PhaseOption = PhaseName.all,
    by: WeightingOption = WeightingName.counts,
    permutations: Annotated[
        int, typer.Option(min=1, help="Shuffles of each permutation test (the classifier's: at most 200).")
    ] = 10_000,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the classifier's cross-validation.")] = 5,
    seed: SeedOption = 0,
    specifications: Annotated[
        bool, typer.Option("--specifications", help="Also the headline under every other sensible choice.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="What `moexray capture --trace` wrote: how much of it is the tokens themselves?")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("analysis.json"),
    json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of tables.")] = False,
) -> None:
    """Test whether routing signatures carry the categories of their prompts.

    Example: moexray analyze signatures.npz --phase generated
    """
    check_writable(out)
    from moexray.cli.tables import print_analysis

    stored = Signatures.open(signatures)
    analysis = analyze_with_progress(
        stored,
        tokens=phase.value,
        weighting=by.value,
        permutations=permutations,
        folds=folds,
        seed=seed,
        specifications=specifications,
        trace=None if trace is None else Trace.open(trace, stored),
    )
    analysis.save(out)
    if json:
        typer.echo(analysis.to_json(), nl=False)
    else:
        print_analysis(analysis.document)
        typer.echo(f"wrote {out}")


def analyze_with_progress(signatures: Signatures, **options: object) -> "Analysis":
    """Analyze with a spinner on standard error."""
    from moexray.studies.analysis import analyze as run

    with step_progress() as announce:
        return run(signatures, on_step=announce, **options)  # type: ignore[arg-type]
