"""`moexray compare`."""

import json as json_library
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.options import PhaseName, PhaseOption, SeedOption
from moexray.corpus_counts import is_counts_table, read_model_counts
from moexray.signatures import Signatures
from moexray.trace import Trace


def compare(
    first: Annotated[Path, typer.Argument(help="File of signatures, or a table of counts.")],
    second: Annotated[Path, typer.Argument(help="Another, of the same prompts or corpora.")],
    *,
    trace: Annotated[
        list[Path] | None, typer.Option(help="Both traces, the option given twice: also agreement token by token.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Both models of tables of counts, the option given twice.")
    ] = None,
    common: Annotated[bool, typer.Option("--common", help="Compare the prompts and layers that both have.")] = False,
    phase: PhaseOption = PhaseName.all,
    permutations: Annotated[int, typer.Option(min=1, help="Exchanges of the two behind each p.")] = 10_000,
    seed: SeedOption = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare the routing of two models, checkpoints or precisions on the same prompts, layer by layer.

    Example: moexray compare before.npz after.npz --trace before.trace.parquet --trace after.trace.parquet
    """
    for name, given in (("--trace", trace), ("--model", model)):
        if given is not None and len(given) != 2:
            message = f"{name} is given {len(given)} times: it is needed once for each of the two, or not at all"
            raise typer.BadParameter(message)
    from moexray.studies.comparison import compare as run
    from moexray.studies.comparison import compare_counts

    if is_counts_table(first) or is_counts_table(second):
        names: list[str | None] = [*model] if model else [None, None]
        one_counts, other_counts = (
            read_model_counts(file, name, advice="name both models with --model, given twice")
            for file, name in zip((first, second), names, strict=True)
        )
        document = compare_counts(one_counts, other_counts).document
    else:
        one, other = Signatures.load(first), Signatures.load(second)
        traces = None if trace is None else (Trace.open(trace[0], one), Trace.open(trace[1], other))
        document = run(
            one, other, tokens=phase.value, permutations=permutations, seed=seed, common=common, traces=traces
        ).document
    if json:
        typer.echo(json_library.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print(document)


def _print(document: Mapping[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from moexray.formats import p_text

    columns = ["layer"] + [name for name in ("corpus", "agreement") if name in document["layers"][0]]
    table = Table(*columns, "cosine", "JS of loads (bits)", box=box.SIMPLE_HEAD)
    tested = "p_value" in document["layers"][0]
    for heading in ("p", "experts moved") if tested else ():
        table.add_column(heading)
    for layer in document["layers"]:
        cells = [str(layer["layer"])]
        cells += [layer["corpus"]] if "corpus" in layer else []
        cells += [f"{layer['agreement']:.3f}"] if "agreement" in layer else []
        cells += [f"{layer['similarity']:.4f}", f"{layer['jensen_shannon']:.4f}"]
        if tested:
            moved = (f"{one['expert']} ({one['difference']:+.3f})" for one in layer["moved"][:3])
            cells += [p_text(layer["p_value"]).removeprefix("p ").removeprefix("= "), ", ".join(moved)]
        table.add_row(*cells)
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{document['models'][0]} beside {document['models'][1]}")
    console.print(table)
