"""`moexray batch`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    JsonOption,
    SeedOption,
    SignaturesFile,
    TokensOption,
)
from moexray.cli.workloads import ExpertBytesOption, FigureOption, WidthOption, opened_trace, whole_numbers


def batch(
    file: SignaturesFile = DEFAULT_FILE,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(help="Trace of these signatures; by default the file beside them.", rich_help_panel=INPUT),
    ] = None,
    sizes: Annotated[
        str,
        typer.Option(
            help="Prompts of a batch, and tokens of a chunk of a prompt, with commas.", rich_help_panel=ANALYSIS
        ),
    ] = "1,2,4,8,16,32,64,128,256",
    group_size: Annotated[
        int,
        typer.Option(
            help="Prompts of the batches that are made at random, by category, by prefill and by decoding.",
            rich_help_panel=ANALYSIS,
        ),
    ] = 8,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Batch-aware routing to replay from router scores: oea:k0=3 for opportunistic expert activation, in "
            "which each token keeps three experts. Needs a trace of `moexray capture --record scores`.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    tokens: TokensOption = "all",
    expert_bytes: ExpertBytesOption = None,
    seed: SeedOption = 0,
    figure: FigureOption = None,
    width: WidthOption = None,
    json: JsonOption = False,
) -> None:
    """Count the distinct experts that a decoding step reads, by the size of the batch, from a trace.

    Example: moexray batch --sizes 1,8,32
    """
    asked = whole_numbers(sizes, option="--sizes")
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.next_command import suggest
    from moexray.cli.render import print_page, print_result
    from moexray.studies.batching import study_batches
    from moexray.views.tables.batching import batching_page

    check_figure(figure, width)
    found = study_batches(
        opened_trace(file, trace),
        sizes=asked,
        tokens=tokens,
        group_size=group_size,
        policy=policy,
        expert_bytes=expert_bytes,
        seed=seed,
    )
    draw_to(figure, "batching", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(batching_page(found))
        suggest("cache", file, *(() if trace is None else ("--trace", trace)))
