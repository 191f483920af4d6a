"""`moexray experts`."""

import json as json_library
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.options import DEFAULT_FILE, PhaseName, PhaseOption, SeedOption
from moexray.corpus_counts import is_counts_table, read_model_counts
from moexray.signatures import Signatures
from moexray.trace import Trace

_SHOWN = 3


def experts(
    file: Annotated[Path, typer.Argument(help="File of signatures, or a table of counts.")] = DEFAULT_FILE,
    *,
    layer: Annotated[int | None, typer.Option(help="Only this layer, by its index in the model.")] = None,
    expert: Annotated[int | None, typer.Option(help="Only this expert of the layer, with examples.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="What `moexray capture --trace` wrote: also tokens, partners and examples.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Which model of a table of counts that holds several.")] = None,
    phase: PhaseOption = PhaseName.all,
    permutations: Annotated[int, typer.Option(min=1, help="Shuffles behind each test of an expert.")] = 10_000,
    seed: SeedOption = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every expert's rank by load.")] = False,
) -> None:
    """Say what experts are for: their load, the categories they get more of, their tokens and their partners.

    Examples: moexray experts --layer 7; moexray experts --layer 7 --expert 12 --trace signatures.trace.parquet
    """
    if expert is not None and layer is None:
        message = "--expert needs --layer: experts are numbered in each layer"
        raise typer.BadParameter(message)
    from moexray.studies.experts import describe_experts, describe_experts_of_counts

    opened = None
    if is_counts_table(file):
        report = describe_experts_of_counts(read_model_counts(file, model, advice="name one with --model"))
    else:
        signatures = Signatures.load(file)
        opened = None if trace is None else Trace.open(trace, signatures)
        report = describe_experts(signatures, tokens=phase.value, permutations=permutations, seed=seed, trace=opened)
    if layer is not None:
        report = report.at(layer, expert)
    if opened is not None and expert is not None:
        report = report.with_examples(opened)
    document = report.document
    if json:
        typer.echo(json_library.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    elif expert is not None:
        _print_expert(document)
    else:
        _print_layers(document)


def _print_layers(document: Mapping[str, Any]) -> None:
    """Print all experts of one layer, by load; or of every layer the three that differ most between categories."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    one_layer = len(document["layers"]) == 1
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("layer", "expert", "load", *document["categories"]):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("more of")
    for layer in document["layers"]:
        order = sorted(layer["experts"], key=lambda one: one["rank"] if one_layer else -_spread(one))
        for one in order if one_layer else order[:_SHOWN]:
            more = [special["category"] for special in one.get("special", ()) if special["difference"] > 0]
            shares = (f"{one['categories'][name]:.3f}" for name in document["categories"])
            table.add_row(str(layer["layer"]), str(one["expert"]), f"{one['load']:.4f}", *shares, ", ".join(more))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{document['model']}: share of each category's {document['of']} that an expert gets")
    console.print(table)
    if one_layer:
        console.print(_balance(document["layers"][0]["balance"]))


def _balance(found: Mapping[str, Any]) -> str:
    evenness = f"entropy {found['entropy']:.3f}, Gini {found['gini']:.3f}, variation {found['cv']:.2f}"
    return f"{evenness}, busiest {found['max_over_mean']:.2f} times the mean, {found['dead_experts']} never selected"


def _spread(expert: Mapping[str, Any]) -> float:
    shares = expert["categories"].values()
    return float(max(shares) - min(shares))


def _print_expert(document: Mapping[str, Any]) -> None:
    (layer,) = document["layers"]
    (one,) = layer["experts"]
    typer.echo(f"{document['model']}, layer {layer['layer']}, expert {one['expert']}")
    typer.echo(f"load        {one['load']:.4f} of the layer's selections, rank {one['rank']}")
    for name, share in sorted(one["categories"].items(), key=lambda pair: -pair[1]):
        special = [s for s in one.get("special", ()) if s["category"] == name]
        word = "" if not special else f", {'more' if special[0]['difference'] > 0 else 'less'} than of others"
        typer.echo(f"category    {name}: {share:.3f} of its {document['of']}{word}")
    for token in one.get("tokens", ()):
        typer.echo(f"token       {token['token']!r}: {token['share']:.2f} of {token['occurrences']} occurrences")
    for partner in one.get("partners", ())[:5]:
        typer.echo(
            f"partner     expert {partner['expert']}: with {partner['share']:.2f} of its tokens, "
            f"odds {partner['odds_ratio']:.1f} times those of the loads alone"
        )
    for example in one.get("examples", ()):
        typer.echo(f"example     {example['prompt']}: {' '.join(example['text'].split())}")
