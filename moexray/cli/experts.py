"""`moexray experts`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    JsonOption,
    PermutationsOption,
    SeedOption,
    TokensOption,
    refuse_idle,
)
from moexray.cli.several import SeveralTraces, open_several
from moexray.corpus_counts import is_counts_table, read_model_counts


def experts(
    file: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Signatures, several of them to be read as one, or a table of counts.", show_default="signatures.npz"
        ),
    ] = None,
    *,
    trace: SeveralTraces = None,
    model: Annotated[
        str | None, typer.Option(help="Which model of a table of counts with several.", rich_help_panel=INPUT)
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="One layer only, by its index in the model.", rich_help_panel=ANALYSIS)
    ] = None,
    expert: Annotated[
        int | None,
        typer.Option(help="One expert only of --layer, with examples if there is a trace.", rich_help_panel=ANALYSIS),
    ] = None,
    tokens: TokensOption = "all",
    permutations: PermutationsOption = 10_000,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Describe what experts do: their load, the categories they get more of, their tokens and partners.

    Example: moexray experts --layer 7 --expert 12 --trace signatures.trace.parquet
    """
    if expert is not None and layer is None:
        message = "--expert needs --layer: experts are numbered in each layer"
        raise typer.BadParameter(message)
    from moexray.cli.render import print_page, print_result
    from moexray.studies.experts import describe_experts, describe_experts_of_counts
    from moexray.views.tables.experts import experts_page

    opened, files = None, file or [DEFAULT_FILE]
    if len(files) == 1 and is_counts_table(files[0]):
        changed = {"tokens": None if tokens == "all" else tokens, "seed": seed or None}
        refuse_idle("needs signatures, not a table of counts", trace=trace or None, **changed)
        report = describe_experts_of_counts(read_model_counts(files[0], model, advice="name one with --model"))
    else:
        refuse_idle("names one of the models in a table of counts, not in signatures", model=model)
        signatures, opened = open_several(files, trace or [])
        report = describe_experts(signatures, tokens=tokens, permutations=permutations, seed=seed, trace=opened)
    if layer is not None:
        report = report.at(layer, expert)
        if opened is not None and expert is not None:
            report = report.with_examples(opened)
    if json:
        print_result(report)
    else:
        print_page(experts_page(report))
