"""`moexray import`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.completion import one_of
from moexray.cli.next_command import after_signatures
from moexray.cli.options import DEFAULT_FILE, OUTPUT, out_option
from moexray.cli.render import say
from moexray.files import companion
from moexray.formats import count, listed
from moexray.importing import FORMATS, read
from moexray.importing.stated import PHASES, Stated, parse_layers
from moexray.importing.writing import TRACE, check_files, write
from moexray.signatures import Signatures

_STATED = "What the file does not say"
_OF_FORMATS = "; ".join(f"{name}: {meaning}" for name, (_, meaning) in FORMATS.items())


def import_(
    source: Annotated[Path, typer.Argument(help="File, or folder, of recorded routing.")],
    *,
    format_name: Annotated[
        str, typer.Option("--from", metavar="FORMAT", help=f"{_OF_FORMATS}.", autocompletion=one_of(FORMATS))
    ],
    mapping: Annotated[
        Path | None, typer.Option("--map", help="TOML file that says which field holds what, for mapped.")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Index in the model of each MoE layer, such as 0-15 or 1,3,5.", rich_help_panel=_STATED),
    ] = None,
    num_experts: Annotated[int | None, typer.Option(help="Experts of a layer.", rich_help_panel=_STATED)] = None,
    top_k: Annotated[int | None, typer.Option(help="Experts that a token is sent to.", rich_help_panel=_STATED)] = None,
    tokens_are: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(PHASES),
            help="What all tokens are; mixed for both, where the file does not tell them apart.",
            rich_help_panel=_STATED,
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(help="Category of all prompts; by default the name of the file.", rich_help_panel=_STATED),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="pool|sequences",
            help="Whether tokens whose requests are not known are one pool, or the sequences of prefill are prompts "
            "and generated tokens are left out, for sglang.",
            rich_help_panel=_STATED,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model.", rich_help_panel=_STATED)] = None,
    out: Annotated[Path, out_option(OUTPUT)] = DEFAULT_FILE,
) -> None:
    """Read routing that others recorded, and write signatures and, where it tells enough, a trace.

    Example: moexray import rollouts.jsonl --from mapped --map rollouts.toml
    """
    stated = Stated(
        layers=None if layers is None else parse_layers(layers),
        num_experts=num_experts,
        top_k=top_k,
        tokens_are=tokens_are,
        category=category,
        model=model,
        mapping=mapping,
        prompts=prompts,
    )
    check_files(out)
    written = write(read(source, format_name, stated), format_name, out)
    found = Signatures.open(written.signatures)
    tokens = [
        count(number, f"{one.phase} token")
        for one, number in zip(found.segments, found.tokens.sum(axis=0).tolist(), strict=True)
        if number
    ]
    say(
        f"imported {count(len(found), 'prompt')}: {listed(tokens)}, {count(len(found.layers), 'layer')} of "
        f"{found.shape[3]} experts"
    )
    unknown = found.meta["imported"]["unknown"]
    if unknown:
        say(f"not known: {listed(unknown)}")
    say(f"wrote {written.signatures}")
    if written.trace is not None:
        say(f"wrote {written.trace}")
    elif companion(out, TRACE).exists():
        say(f"{companion(out, TRACE)} is there from before, and is not of these signatures")
    after_signatures(written.signatures, found, trace=written.trace)
