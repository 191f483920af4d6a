"""`moexray coverage`."""

from typing import Annotated

import typer

from moexray.cli.options import ANALYSIS, DEFAULT_FILE, JsonOption, SeedOption, SignaturesFile, TokensOption
from moexray.cli.workloads import FigureOption, WidthOption
from moexray.signatures import Signatures


def coverage(
    file: SignaturesFile = DEFAULT_FILE,
    *,
    below: Annotated[
        int,
        typer.Option(help="An expert is seldom reached that fewer tokens or prompts select.", rich_help_panel=ANALYSIS),
    ] = 10,
    tokens: TokensOption = "all",
    seed: SeedOption = 0,
    figure: FigureOption = None,
    width: WidthOption = None,
    json: JsonOption = False,
) -> None:
    """Find the experts that prompts seldom reach, and whether other prompts would rank experts alike.

    Example: moexray coverage --below 32 --tokens prompt
    """
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.next_command import suggest
    from moexray.cli.render import print_page, print_result
    from moexray.studies.coverage import study_coverage
    from moexray.views.tables.coverage import coverage_page

    check_figure(figure, width)
    found = study_coverage(Signatures.open(file), below=below, tokens=tokens, seed=seed)
    draw_to(figure, "coverage", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(coverage_page(found))
        suggest("experts", file)
