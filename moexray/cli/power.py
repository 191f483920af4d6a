"""`moexray power`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import ANALYSIS, OUTPUT, JsonOption, SeedOption, TokensOption, refuse_idle
from moexray.cli.workloads import WidthOption
from moexray.signatures import Signatures


class Varied(StrEnum):
    """What is varied from study to study."""

    prompts = "prompts"
    groups = "groups"
    tokens = "tokens"


def power(
    pilot: Annotated[
        Path | None, typer.Argument(help="Signatures of a pilot; none with --effect.", show_default=False)
    ] = None,
    *,
    effect: Annotated[
        float | None,
        typer.Option(help="Cohen's d of pairs of prompts, instead of a pilot.", min=0, rich_help_panel=ANALYSIS),
    ] = None,
    categories: Annotated[
        int | None,
        typer.Option(help="Number of categories, with --effect; 4 by default.", min=2, rich_help_panel=ANALYSIS),
    ] = None,
    vary: Annotated[
        Varied | None,
        typer.Option(
            help="What to look for: prompts, groups, or tokens of a prompt. By default groups where the pilot has "
            "groups, and else prompts.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    groups: Annotated[
        int | None, typer.Option(help="Groups of a category. By default as the pilot.", min=3, rich_help_panel=ANALYSIS)
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(
            help="Prompts of a category, or of a group and category. By default as the pilot.",
            min=1,
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    tokens: TokensOption = "all",
    target: Annotated[float, typer.Option(help="The power that is wanted.", rich_help_panel=ANALYSIS)] = 0.8,
    studies: Annotated[
        int, typer.Option(help="Simulated studies of each size.", min=1, rich_help_panel=ANALYSIS)
    ] = 200,
    most: Annotated[
        int, typer.Option(help="The largest number that is simulated.", min=3, rich_help_panel=ANALYSIS)
    ] = 160,
    seed: SeedOption = 0,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw the curve to this .png, .svg or .pdf file.", rich_help_panel=OUTPUT),
    ] = None,
    width: WidthOption = None,
    json: JsonOption = False,
) -> None:
    """Find how many prompts, groups or tokens a study needs to tell categories apart, by simulation.

    Example: moexray power pilot.npz --vary prompts --figure power.png
    """
    if (pilot is None) == (effect is None):
        message = "name the signatures of a pilot, or an --effect, and not both"
        raise typer.BadParameter(message)
    if effect is not None and (vary not in (None, Varied.prompts) or groups is not None or prompts is not None):
        message = "--effect finds prompts: --vary, --groups and --prompts need a pilot"
        raise typer.BadParameter(message)
    if effect is None:
        refuse_idle("goes with --effect: a pilot has categories of its own", categories=categories)
    else:
        refuse_idle("needs a pilot: an --effect is of no tokens", tokens=None if tokens == "all" else tokens)
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.progress import step_progress
    from moexray.cli.render import print_page, print_result
    from moexray.studies.power import power_of_effect, power_of_pilot
    from moexray.views.tables.power import power_page

    check_figure(figure, width)
    with step_progress() as on_step:
        if effect is not None:
            found = power_of_effect(
                effect,
                categories=categories or 4,
                target=target,
                studies=studies,
                most=most,
                seed=seed,
                on_step=on_step,
            )
        else:
            assert pilot is not None
            found = power_of_pilot(
                Signatures.open(pilot),
                tokens=tokens,
                vary=None if vary is None else vary.value,
                groups=groups,
                prompts=prompts,
                target=target,
                studies=studies,
                most=most,
                seed=seed,
                on_step=on_step,
            )
    draw_to(figure, "power", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(power_page(found))
