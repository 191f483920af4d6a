"""`moexray plot`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.figure_inputs import (
    OF_LAYERS,
    AnalysisInputs,
    StudyInputs,
    is_result,
    open_result,
    open_signatures,
    pairs_beside,
)
from moexray.cli.flags import given, with_flags
from moexray.cli.options import (
    DEFAULT_FILE,
    OUTPUT,
    AnalysisOption,
    SavedFoldsOption,
    SavedPermutationsOption,
    SavedSeedOption,
    SavedTokensOption,
    SavedWeightingOption,
    TraceOption,
    refuse_idle,
)
from moexray.cli.pictures import (
    PICTURE,
    PictureFolderOption,
    PictureImageOption,
    PictureLayersOption,
    PictureOption,
    picture_axes,
)
from moexray.cli.render import say
from moexray.cli.workloads import WidthOption
from moexray.errors import FigureError
from moexray.files import check_writable, find_companion
from moexray.recording.recorders.trace import TRACE
from moexray.views.figures import ANALYSIS, FIGURES, OF_SIGNATURES, PAIRS, figure, figures_of

_FIGURES, _STUDIES = "Figures", "Figures of other studies, from what their command prints with --json"


class Format(StrEnum):
    """What figures in a folder are written as."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


@with_flags({name: entry.help for name, entry in FIGURES.items() if not entry.of_study}, into="names", panel=_FIGURES)
@with_flags(
    {name: f"{entry.help[:-1]}: `moexray {entry.of}`." for name, entry in FIGURES.items() if entry.of_study},
    into="studies",
    panel=_STUDIES,
)
def plot(
    file: Annotated[
        Path,
        typer.Argument(
            help="Signatures, or a result: an analysis, or what another study printed with --json.", show_default=True
        ),
    ] = DEFAULT_FILE,
    *,
    names: list[str],
    studies: list[str],
    every: Annotated[
        bool,
        typer.Option("--all", help="Every figure that can be drawn.", rich_help_panel=_FIGURES),
    ] = False,
    picture: PictureOption = None,
    image: PictureImageOption = None,
    layer: PictureLayersOption = None,
    images: PictureFolderOption = None,
    analysis: AnalysisOption = None,
    trace: TraceOption = None,
    tokens: SavedTokensOption = None,
    by: SavedWeightingOption = None,
    permutations: SavedPermutationsOption = None,
    folds: SavedFoldsOption = None,
    seed: SavedSeedOption = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder to write to, or, for one figure, a file that ends in .png, .svg or .pdf.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path(),
    format: Annotated[
        Format | None, typer.Option(help="Format of figures in a folder; png by default.", rich_help_panel=OUTPUT)
    ] = None,
    width: WidthOption = None,
) -> None:
    """Draw figures of an analysis or of another study.

    The numbers are those of the saved analysis; without one that fits, the signatures are analyzed anew.

    Of what another study printed with --json, its own figure is drawn where none is named.

    Examples: moexray plot --layerwise --pca --out figures --format svg; moexray plot batch.json
    """
    wanted = [*names, *studies]
    _check_options(file, wanted, every=every, picture=picture is not None, width=width)
    if picture is None:
        refuse_idle("says what --picture draws: give both", image=image, images=images)
        if is_result(file) or not (every or any(FIGURES[name].of in OF_LAYERS for name in wanted)):
            refuse_idle("is for --picture, --categories and --coactivation of signatures", layer=layer or None)
    from moexray.views.figures.fonts import letters_without_font
    from moexray.views.figures.style import figure_of, save_figure
    from moexray.views.figures.widths import fit_width, inches

    wide = None if width is None else inches(width)
    traced = [FIGURES[name].of for name in names if FIGURES[name].needs == "trace"]
    needs_trace = any(of != PAIRS or pairs_beside(file) is None for of in traced)
    spare = trace is None and not needs_trace
    if trace is None and not is_result(file) and (every or needs_trace):
        trace = find_companion(file, TRACE.suffix)
    options = given(tokens=tokens, weighting=by, permutations=permutations, folds=folds, seed=seed)
    inputs: AnalysisInputs | StudyInputs | None = None
    if is_result(file) and (wanted or every or picture is None):
        inputs = open_result(file, analysis=analysis, trace=trace, options=options)
        wanted = wanted or ([] if every else [_usual(inputs)])
    possible = figures_of(*(OF_SIGNATURES if inputs is None else inputs.kinds)) if every else []
    chosen = [name for name in FIGURES if name in possible or name in wanted]
    paths = _paths([*chosen, *([] if picture is None else [PICTURE])], out, format)
    for path in paths.values():
        check_writable(path)
    if chosen and inputs is None:
        inputs = open_signatures(
            file, analysis=analysis, trace=trace, options=options, layers=layer or None, spare=spare
        )
    drawn = {}
    if picture is not None:
        drawn[PICTURE] = picture_axes(file, picture, trace=trace, image=image or 1, layers=layer, folder=images)
    if inputs is not None:
        drawn |= _drawn(chosen, inputs, needed=wanted)
    for name, axes in drawn.items():
        if wide is not None:
            fit_width(axes, wide)
        save_figure(axes, paths[name])
        say(f"wrote {paths[name]}")
        letters = "" if paths[name].suffix.lower() == ".svg" else letters_without_font(figure_of(axes))
        if letters:
            say(f"no font here has {letters}: boxes stand for them. Install one, or write an SVG", err=True)


def _check_options(file: Path, wanted: Sequence[str], *, every: bool, picture: bool, width: str | None) -> None:
    """Raise BadParameter where nothing is named that could be drawn of such a file, or --width has no part."""
    result = is_result(file)
    if not (wanted or every or picture or result):
        flags = ", ".join(_flag(name) for name in figures_of(*OF_SIGNATURES))
        message = f"name at least one figure: {flags}, --picture or --all; or a result of a study, such as batch.json"
        raise typer.BadParameter(message)
    for name in wanted:
        if FIGURES[name].of_study and not result:
            command = FIGURES[name].of
            message = (
                f"{_flag(name)} draws what `moexray {command} --json` prints: name the file that it is in, "
                f"such as {command}.json"
            )
            raise typer.BadParameter(message)
    if picture and width is not None:
        message = "--width has no part in --picture, whose width follows its layers: leave one of them out"
        raise typer.BadParameter(message)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _usual(inputs: AnalysisInputs | StudyInputs) -> str:
    """Return the figure that is drawn of a result where none is named."""
    if isinstance(inputs, AnalysisInputs):
        message = f"name at least one figure: {', '.join(_flag(name) for name in figures_of(ANALYSIS))} or --all"
        raise typer.BadParameter(message)
    found = figures_of(inputs.kind)
    if not found:
        message = f"no figure draws {inputs.result.WHAT}, which {inputs.file} is"
        raise FigureError(message)
    return found[0]


def _drawn(chosen: Sequence[str], inputs: AnalysisInputs | StudyInputs, *, needed: Sequence[str]) -> dict[str, Any]:
    """Draw some figures; what stands in the way of one that is not needed is said, of another an error."""
    obstacles = {name: inputs.obstacle(FIGURES[name]) for name in chosen}
    for name in needed:
        if obstacles[name] is not None:
            message = f"no figure {name}: {obstacles[name]}"
            raise FigureError(message)
    possible = [name for name in chosen if obstacles[name] is None]
    results = inputs.results([FIGURES[name] for name in possible])
    for name, obstacle in obstacles.items():
        if obstacle is not None:
            say(f"no figure {name}: {obstacle}", err=True)
    drawn = {}
    for name in possible:
        try:
            drawn[name] = figure(name)(results[FIGURES[name].of])
        except FigureError as error:
            if name in needed:
                raise
            say(str(error), err=True)
        except (LookupError, TypeError, ValueError) as error:
            if inputs.damage is None:
                raise
            message = f"no figure {name}: parts are missing or do not fit together in {inputs.damage}"
            raise FigureError(message) from error
    return drawn


def _paths(names: Sequence[str], out: Path, suffix: Format | None) -> dict[str, Path]:
    """Return where each figure is written."""
    if out.is_dir():
        return {name: out / f"{name}.{suffix or Format.png}" for name in names}
    if not out.suffix:
        message = f"{out} is not a folder: make it first, or name a file that ends in .png, .svg or .pdf"
        raise FigureError(message)
    if out.suffix.lower() not in {f".{known}" for known in Format}:
        message = f"{out} has no suffix of a figure: end it with .png, .svg or .pdf"
        raise FigureError(message)
    if len(names) > 1:
        message = f"{out} is one file, but there are several figures: name a folder, and --format {out.suffix[1:]}"
        raise FigureError(message)
    if suffix is not None and out.suffix.lower() != f".{suffix}":
        message = f"{out} ends in {out.suffix}, and --format is {suffix}: leave --format out, or name a folder"
        raise FigureError(message)
    return dict.fromkeys(names, out)
