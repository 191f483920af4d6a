"""`moexray kinds`."""

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
    SignaturesFile,
)
from moexray.cli.workloads import FigureOption, WidthOption
from moexray.signatures import Signatures


def kinds(
    file: SignaturesFile = DEFAULT_FILE,
    *,
    other: Annotated[
        Path | None,
        typer.Option(help="Signatures of another set of prompts, by the same model.", rich_help_panel=INPUT),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            help="Two kinds of tokens, as text,image or prompt,generated. By default the only two that there are.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            help="Devices that hold the experts, neighbours together: the busiest for each kind, and as the second "
            "kind's share grows.",
            min=1,
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    permutations: PermutationsOption = 10_000,
    seed: SeedOption = 0,
    figure: FigureOption = None,
    width: WidthOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the routing of two kinds of tokens, as text and image, or prompt and generated.

    Example: moexray kinds --kinds prompt,generated --figure kinds.png
    """
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.render import print_page, print_result
    from moexray.studies.kinds import study_kinds
    from moexray.views.tables.kinds import kinds_page

    check_figure(figure, width)
    found = study_kinds(
        Signatures.open(file),
        None if kinds is None else [name.strip() for name in kinds.split(",")],
        other=None if other is None else Signatures.open(other),
        devices=devices,
        permutations=permutations,
        seed=seed,
    )
    draw_to(figure, "kinds", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(kinds_page(found))
