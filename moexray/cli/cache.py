"""`moexray cache`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    OUTPUT,
    JsonOption,
    SeedOption,
    SignaturesFile,
    TokensOption,
)
from moexray.cli.workloads import ExpertBytesOption, WidthOption, opened_trace, whole_numbers


def cache(
    file: SignaturesFile = DEFAULT_FILE,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(help="Trace of these signatures; by default the file beside them.", rich_help_panel=INPUT),
    ] = None,
    capacities: Annotated[
        str | None,
        typer.Option(
            "--capacity",
            help="Experts of a layer that fit its cache, with commas; by default k and every eighth of the layer.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    tokens: TokensOption = "all",
    hit_rate: Annotated[
        float, typer.Option(help="The hit rate whose price in memory is wanted.", rich_help_panel=ANALYSIS)
    ] = 0.9,
    expert_bytes: ExpertBytesOption = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Study one cache that all layers share, too.", rich_help_panel=ANALYSIS)
    ] = False,
    seed: SeedOption = 0,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw hit rates by capacity to this .png, .svg or .pdf file.", rich_help_panel=OUTPUT),
    ] = None,
    width: WidthOption = None,
    json: JsonOption = False,
) -> None:
    """Say how much expert memory buys how few misses, by capacity and policy of a cache, from a trace.

    Example: moexray cache --capacity 8,16,32 --hit-rate 0.9
    """
    asked = None if capacities is None else whole_numbers(capacities, option="--capacity")
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.render import print_page, print_result
    from moexray.studies.caching import study_caches
    from moexray.views.tables.caching import caching_page

    check_figure(figure, width)
    found = study_caches(
        opened_trace(file, trace),
        tokens=tokens,
        capacities=asked,
        hit_rate=hit_rate,
        expert_bytes=expert_bytes,
        shared=shared,
        seed=seed,
    )
    draw_to(figure, "caching", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(caching_page(found))
