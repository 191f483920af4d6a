"""`moexray claims`."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moexray.cli.analyze import analyze_with_progress
from moexray.cli.options import DEFAULT_FILE, PhaseName, PhaseOption, SeedOption, SignaturesFile
from moexray.signatures import Signatures
from moexray.trace import Trace

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from moexray.claims.report import CheckedClaim, ClaimsReport

_STYLES = {"reproduced": "green", "direction only": "yellow", "not reproduced": "red", "not applicable": "dim"}


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
    from moexray.claims.render import claims_markdown
    from moexray.claims.study_file import read_study, shipped_study

    study = shipped_study() if claims is None else read_study(claims)
    stored = Signatures.open(signatures)
    opened = None if trace is None else Trace.open(trace, stored)
    options = {"tokens": phase.value, "permutations": permutations, "seed": seed, "trace": opened}
    report = check_claims(stored, analyze_with_progress(stored, **options), study)
    if json:
        typer.echo(report.to_json(), nl=False)
    elif markdown:
        typer.echo(claims_markdown(report), nl=False)
    else:
        _print(report)


def _print(report: "ClaimsReport") -> None:
    from rich.console import Console

    from moexray.claims.render import count_sentence, subject_line

    console = Console(highlight=False, markup=False, emoji=False)  # names may look like markup
    study = report.study
    console.print(f"{study.title} ({study.source})\n")
    console.print(f"Published: {study.settings['model']}.\n{subject_line(report)}")
    console.print(_table(report.claims))
    console.print(_reasons(report.claims))
    console.print(f"\n{count_sentence(report)}")


def _table(results: "Sequence[CheckedClaim]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("", "claim", "published", "here", "verdict", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[0].min_width = min(8, max(len(one.id) for one in results))
    table.columns[2].min_width = min(16, max(len(one.published) for one in results))
    table.columns[4].no_wrap = True
    for one in results:
        table.add_row(one.id, one.name, one.published, one.shown or "–", _verdict(one))
    return table


def _verdict(result: "CheckedClaim") -> "Text":
    from rich.text import Text

    verdict = Text(str(result.verdict), style=_STYLES[result.verdict])
    if result.as_if is None:
        return verdict
    return verdict.append("\n").append(f"({result.as_if})", style=_STYLES[result.as_if])


def _reasons(results: "Sequence[CheckedClaim]") -> "Table":
    """Give the reason of each verdict.

    What keeps several claims in a row from applying is said once, above what their tests say.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid("", "", padding=(0, 2, 0, 0))
    grid.columns[0].min_width = min(8, max(len(one.id) for one in results))
    for blocked, group in groupby(results, key=lambda one: None if one.as_if is None else one.reason):
        those = list(group)
        if blocked is not None:
            span = those[0].id if len(those) == 1 else f"{those[0].id}–{those[-1].id}"
            grid.add_row("", Text(f"{span} not applicable ({blocked}); the same tests say:", style="bold"))
        for one in those:
            grid.add_row(one.id, one.explanation)
    return grid
