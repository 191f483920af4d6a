"""`moexray claims`."""

import json as json_library
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moexray.cli.analyze import analyze_with_progress
from moexray.cli.options import DEFAULT_FILE, PhaseName, PhaseOption, SeedOption, SignaturesFile
from moexray.signatures import Signatures
from moexray.trace import Trace

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from moexray.claims.claim import Result, Study

_STYLES = {"reproduced": "green", "direction only": "yellow", "not reproduced": "red", "not applicable": "dim"}
_WIDE = 100


def claims(
    signatures: SignaturesFile = DEFAULT_FILE,
    *,
    claims: Annotated[
        Path | None, typer.Option(help="File of another study's claims; without it those of arXiv:2603.11114.")
    ] = None,
    phase: PhaseOption = PhaseName.all,
    permutations: Annotated[
        int, typer.Option(min=1, help="Shuffles of each permutation test (the classifier's: 200, clusters': 1,000).")
    ] = 10_000,
    seed: SeedOption = 0,
    trace: Annotated[
        Path | None, typer.Option(help="What `moexray capture --trace` wrote: how much of it is the tokens themselves?")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
) -> None:
    """Check published claims: each with its figure here, the test that decides, and a verdict.

    Examples: moexray claims signatures.npz; moexray claims --claims my_claims.toml --markdown
    """
    if json and markdown:
        message = "--json and --markdown are two outputs: choose one"
        raise typer.BadParameter(message)
    from moexray.claims.check import check_claims
    from moexray.claims.render import claims_document, claims_markdown
    from moexray.claims.study_file import read_study, shipped_study

    study = shipped_study() if claims is None else read_study(claims)
    stored = Signatures.open(signatures)
    opened = None if trace is None else Trace.open(trace, stored)
    options = {"tokens": phase.value, "permutations": permutations, "seed": seed, "trace": opened}
    analysis = analyze_with_progress(stored, **options).document
    results = check_claims(stored, analysis, study)
    if json:
        document = claims_document(results, study, analysis)
        typer.echo(json_library.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    elif markdown:
        typer.echo(claims_markdown(results, study, analysis), nl=False)
    else:
        _print(results, study, analysis)


def _print(results: "Sequence[Result]", study: "Study", analysis: Mapping[str, Any]) -> None:
    from rich.console import Console

    from moexray.claims.render import count_sentence, subject_line

    console = Console(highlight=False, markup=False, emoji=False)  # names may look like markup
    console.print(f"{study.title} ({study.source})\n")
    console.print(f"Published: {study.settings['model']}.\n{subject_line(analysis)}")
    console.print(_table(results, console.width))
    console.print(_reasons(results))
    console.print(f"\n{count_sentence(results)}")


def _table(results: "Sequence[Result]", width: int) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("", "claim", "published", "here", "verdict", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[0].min_width = min(8, max(len(one.claim.id) for one in results))
    table.columns[2].min_width = min(16, max(len(one.claim.published) for one in results))
    table.columns[4].no_wrap = True
    for one in results:
        shown = one.shown if width < _WIDE else one.shown.replace("\n", " ")
        table.add_row(one.claim.id, one.claim.name, one.claim.published, shown or "–", _verdict(one))
    return table


def _verdict(result: "Result") -> "Text":
    from rich.text import Text

    verdict = Text(str(result.verdict), style=_STYLES[result.verdict])
    if result.as_if is None:
        return verdict
    return verdict.append("\n").append(f"({result.as_if})", style=_STYLES[result.as_if])


def _reasons(results: "Sequence[Result]") -> "Table":
    """Give the reason of each verdict.

    What keeps several claims in a row from applying is said once, above what their tests say.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid("", "", padding=(0, 2, 0, 0))
    grid.columns[0].min_width = min(8, max(len(one.claim.id) for one in results))
    for blocked, group in groupby(results, key=lambda one: None if one.as_if is None else one.reason):
        those = list(group)
        if blocked is not None:
            span = those[0].claim.id if len(those) == 1 else f"{those[0].claim.id}–{those[-1].claim.id}"
            grid.add_row("", Text(f"{span} not applicable ({blocked}); the same tests say:", style="bold"))
        for one in those:
            grid.add_row(one.claim.id, one.said)
    return grid
