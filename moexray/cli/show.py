"""`moexray show`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.completion import prompt_ids
from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    OUTPUT,
    JsonOption,
    SignaturesFile,
    TokensOption,
    refuse_idle,
)
from moexray.cli.workloads import opened_trace
from moexray.formats import count
from moexray.signatures import Signatures

_MOST_NAMED = 5


def show(
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The id of a prompt.", autocompletion=prompt_ids, show_default=False),
    ] = None,
    file: SignaturesFile = DEFAULT_FILE,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Trace that `moexray capture --record trace` wrote; by default the one beside the signatures.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            help="The layer whose experts tint tokens, by its index in the model; by default the middle MoE layer.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    expert: Annotated[
        int | None,
        typer.Option(
            help="Tint by the gate weight of this expert of the layer, or by its rank.", rich_help_panel=ANALYSIS
        ),
    ] = None,
    tokens: TokensOption = "all",
    limit: Annotated[
        int,
        typer.Option(
            min=0,
            help="Show so many tokens of the given and of the generated part, half of them from each end; 0 for all. "
            "An image counts as one. Numbers are always of all.",
            rich_help_panel=OUTPUT,
        ),
    ] = 600,
    numbers: Annotated[
        bool,
        typer.Option(
            "--numbers", help="Write the expert beside each token; so it is without colours.", rich_help_panel=OUTPUT
        ),
    ] = False,
    play: Annotated[
        bool,
        typer.Option(
            "--play", help="Play the generation, token by token, where there is a terminal.", rich_help_panel=OUTPUT
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show a prompt's tokens, tinted by the experts of a layer.

    Example: moexray show code-01 --layer 7 --expert 12
    """
    if json:
        refuse_idle("draws in a terminal, and --json prints numbers", play=play, numbers=numbers)
    from moexray.cli.next_command import suggest
    from moexray.cli.render import print_result
    from moexray.cli.shown import print_prompt
    from moexray.studies.shown_prompt import show_prompt

    if prompt is None:
        message = f"name a prompt by its id: {_ids(file)}"
        raise typer.BadParameter(message)
    found = show_prompt(opened_trace(file, trace), prompt, layer=layer, expert=expert, tokens=tokens)
    if json:
        print_result(found)
    else:
        print_prompt(found, most=limit, numbers=numbers, play=play)
        if expert is None and found.leading:
            named = () if trace is None else ("--trace", trace)
            options = (*named, "--layer", found.layer, "--expert", found.leading[0].expert)
            dashed = prompt.startswith("-")  # an id, which only stands behind -- then
            suggest("show", *((*options, "--", prompt, file) if dashed else (prompt, file, *options)))


def _ids(file: Path) -> str:
    """Say how many prompts there are, and the first of each of some categories."""
    prompts = Signatures.open(file).prompts
    firsts: dict[str, str] = {}
    for category, one in zip(prompts.categories, prompts.ids, strict=True):
        firsts.setdefault(category, one)
    return f"{file} has {count(len(prompts), 'prompt')}, such as {', '.join([*firsts.values()][:_MOST_NAMED])}"
