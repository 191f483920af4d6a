"""`moexray compare`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import ANALYSIS, INPUT, JsonOption, PermutationsOption, SeedOption, TokensOption, refuse_idle
from moexray.corpus_counts import is_counts_table, read_model_counts
from moexray.signatures import Signatures
from moexray.trace import Trace


def compare(
    first: Annotated[Path, typer.Argument(help="Signatures, or a table of counts.")],
    second: Annotated[Path, typer.Argument(help="Another, of the same prompts or corpora.")],
    *,
    trace: Annotated[
        list[Path] | None,
        typer.Option(help="Both traces, given in two options: adds agreement by token.", rich_help_panel=INPUT),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Both models of tables of counts, given in two options.", rich_help_panel=INPUT),
    ] = None,
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare only the prompts and layers that both have.", rich_help_panel=ANALYSIS),
    ] = False,
    tokens: TokensOption = "all",
    permutations: PermutationsOption = 10_000,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Compare the routing of two models, checkpoints or precisions on the same prompts, layer by layer.

    Example: moexray compare before.npz after.npz --trace before.trace.parquet --trace after.trace.parquet
    """
    for name, given in (("--trace", trace), ("--model", model)):
        if given is not None and len(given) != 2:
            message = f"{name} is given {len(given)} times: give it once for each of the two, or not at all"
            raise typer.BadParameter(message)
    from moexray.cli.render import print_page, print_result
    from moexray.studies.comparison import compare as run
    from moexray.studies.comparison import compare_counts
    from moexray.views.tables.comparison import comparison_page

    if is_counts_table(first) or is_counts_table(second):
        changed = {"common": common, "tokens": None if tokens == "all" else tokens, "seed": seed or None}
        refuse_idle("needs signatures, not tables of counts", trace=trace, **changed)
        names: list[str | None] = [*model] if model else [None, None]
        advice = "name both models with --model, given twice"
        counts = [
            read_model_counts(file, name, advice=advice) for file, name in zip((first, second), names, strict=True)
        ]
        comparison = compare_counts(counts[0], counts[1])
    else:
        refuse_idle("names models in tables of counts, not in signatures", model=model)
        one, other = Signatures.open(first), Signatures.open(second)
        traces = None if trace is None else (Trace.open(trace[0], one), Trace.open(trace[1], other))
        comparison = run(one, other, tokens=tokens, permutations=permutations, seed=seed, common=common, traces=traces)
    if json:
        print_result(comparison)
    else:
        print_page(comparison_page(comparison))
