"""`moexray plot`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

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
from moexray.cli.saved_analysis import Saved, find_saved, mismatch, saved_or_new
from moexray.errors import AnalysisError, FigureError
from moexray.files import check_writable, find_companion
from moexray.recording.recorders.trace import TRACE
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.completion import options_of
from moexray.trace import Trace
from moexray.views.figures import FIGURES, Entry, figure

_FIGURES = "Figures"


class Format(StrEnum):
    """What figures in a folder are written as."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


@with_flags({name: entry.help for name, entry in FIGURES.items()}, into="names", panel=_FIGURES)
def plot(
    file: Annotated[
        Path, typer.Argument(help="Signatures, or an analysis for figures that need no signatures.", show_default=True)
    ] = DEFAULT_FILE,
    *,
    names: list[str],
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
    width: Annotated[
        str | None,
        typer.Option(
            metavar="VENUE|INCHES",
            help="Width for print, with text of 7 and 8 points: icml, neurips, cvpr-page or another venue, or inches.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Draw figures of an analysis.

    The numbers are those of the saved analysis; without one that fits, the signatures are analyzed anew.

    Example: moexray plot --layerwise --pca --out figures --format svg
    """
    if not names and not every and picture is None:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in FIGURES)
        message = f"name at least one figure: {flags}, --picture or --all"
        raise typer.BadParameter(message)
    if picture is None:
        refuse_idle("says what --picture draws: give both", image=image, layer=layer or None, images=images)
    elif width is not None:
        message = "--width has no part in --picture, whose width follows its layers: leave one of them out"
        raise typer.BadParameter(message)
    from moexray.views.figures.style import save_figure
    from moexray.views.figures.widths import fit_width, inches

    wide = None if width is None else inches(width)
    chosen = [name for name in FIGURES if every or name in names]
    paths = _paths([*chosen, *([] if picture is None else [PICTURE])], out, format)
    for path in paths.values():
        check_writable(path)
    options = given(tokens=tokens, weighting=by, permutations=permutations, folds=folds, seed=seed)
    drawn = {}
    if picture is not None:
        drawn[PICTURE] = picture_axes(file, picture, trace=trace, image=image or 1, layers=layer, folder=images)
    if chosen:
        if "token_identity" in names and trace is None:
            trace = find_companion(file, TRACE.suffix)
        inputs = _inputs(file, analysis=analysis, trace=trace, options=options)
        drawn |= _drawn(chosen, inputs, needed=names)
    for name, axes in drawn.items():
        if wide is not None:
            fit_width(axes, wide)
        save_figure(axes, paths[name])
        say(f"wrote {paths[name]}")


def _drawn(chosen: Sequence[str], inputs: "_Inputs", *, needed: Sequence[str]) -> dict[str, Any]:
    """Draw some figures; what stands in the way of one that is not needed is said, of another an error."""
    obstacles = {name: inputs.obstacle(FIGURES[name]) for name in chosen}
    for name in needed:
        if obstacles[name] is not None:
            message = f"no figure {name}: {obstacles[name]}"
            raise FigureError(message)
    possible = [name for name in chosen if obstacles[name] is None]
    results = inputs.results([FIGURES[name] for name in possible])
    drawn = {}
    for name in possible:
        try:
            drawn[name] = figure(name)(results[FIGURES[name].of])
        except FigureError as error:
            if name in needed:
                raise
            say(str(error), err=True)
    return drawn


@dataclass(frozen=True)
class _Inputs:
    """What figures are drawn from; without signatures, what a saved analysis holds."""

    signatures: Signatures | None
    saved: Saved
    trace: Trace | None
    options: Mapping[str, Any]

    def obstacle(self, entry: Entry) -> str | None:
        """Say why a figure cannot be drawn; None if nothing is in its way."""
        analysis, alone = self.saved.analysis, self.signatures is None
        if alone and entry.of == "similarity_matrix":
            return "it needs the signatures, not an analysis"
        if entry.needs == "specifications" and alone and (analysis is None or analysis.specifications is None):
            return "the analysis has no specifications: `moexray analyze --specifications` adds them"
        identity = None if analysis is None else analysis.controls.token_identity
        if entry.needs == "trace" and identity is None and (alone or self.trace is None):
            return "it needs --trace: `moexray capture --record trace` writes signatures.trace.parquet"
        return None

    def results(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """Return the results that some figures are of, read or computed."""
        found: dict[str, Any] = {}
        if any(entry.of == "analysis" for entry in entries):
            analysis = self.saved.analysis
            if self.signatures is None:
                say(self.saved.remark, err=True)
            else:
                specifications = any(entry.needs == "specifications" for entry in entries)
                analysis = saved_or_new(
                    self.saved,
                    self.signatures,
                    given=self.options,
                    trace=self.trace if any(entry.needs == "trace" for entry in entries) else None,
                    specifications=specifications,
                )
            assert analysis is not None
            found["analysis"] = analysis
        if any(entry.of == "similarity_matrix" for entry in entries):
            from moexray.studies.similarity_matrix import similarity_matrix

            assert self.signatures is not None
            made_with = self.options
            if self.saved.analysis is not None:
                made_with = options_of(self.saved.analysis)
                if "analysis" not in found:
                    say(f"{self.saved.remark}: the matrix is computed with its options", err=True)
            options = {name: made_with[name] for name in ("tokens", "weighting", "seed") if name in made_with}
            found["similarity_matrix"] = similarity_matrix(self.signatures, **options)
        return found


def _inputs(file: Path, *, analysis: Path | None, trace: Path | None, options: Mapping[str, Any]) -> _Inputs:
    if file.suffix == ".json":
        return _Inputs(None, _alone(file, analysis=analysis, trace=trace, options=options), None, options)
    signatures = Signatures.open(file)
    opened = None if trace is None else Trace.open(trace, signatures)
    return _Inputs(signatures, find_saved(file, signatures, named=analysis, given=options), opened, options)


def _alone(file: Path, *, analysis: Path | None, trace: Path | None, options: Mapping[str, Any]) -> Saved:
    """Read an analysis that is drawn without its signatures, which cannot be made with other options."""
    for option, path in (("--analysis", analysis), ("--trace", trace)):
        if path is not None:
            message = f"{option} needs signatures, and {file} is an analysis: name the signatures instead"
            raise typer.BadParameter(message)
    found = Analysis.load(file)
    problem = mismatch(found, options)
    if problem is not None:
        message = f"{file} {problem}"
        raise AnalysisError(message)
    return Saved(found, f"read {file}")


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
