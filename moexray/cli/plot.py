"""`moexray plot`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import DEFAULT_FILE, PhaseName, PhaseOption, SignaturesFile
from moexray.errors import FigureError
from moexray.files import check_writable
from moexray.signatures import Signatures
from moexray.trace import Trace


class Format(StrEnum):
    """What a folder's figures are written as."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


def plot(
    signatures: SignaturesFile = DEFAULT_FILE,
    *,
    layerwise: Annotated[bool, typer.Option("--layerwise", help="Effect size and accuracy by layer.")] = False,
    similarity: Annotated[bool, typer.Option("--similarity", help="Similarities, ordered by category.")] = False,
    pca: Annotated[bool, typer.Option("--pca", help="Prompts in two principal components.")] = False,
    load: Annotated[bool, typer.Option("--load", help="Load of every expert.")] = False,
    specifications: Annotated[bool, typer.Option("--specifications", help="Effect size under every choice.")] = False,
    tokens: Annotated[bool, typer.Option("--tokens", help="Token identity by layer; needs --trace.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every figure; --tokens only where there is a trace.")] = False,
    trace: Annotated[Path | None, typer.Option(help="What `moexray capture --trace` wrote.")] = None,
    phase: PhaseOption = PhaseName.all,
    out: Annotated[
        Path, typer.Option(help="Folder to write to, or, for one figure, a file that ends in .png, .svg or .pdf.")
    ] = Path(),
    format: Annotated[Format, typer.Option(help="What a folder's figures are written as.")] = Format.png,
) -> None:
    """Draw figures of routing signatures.

    Examples: moexray plot --layerwise --out depth.pdf; moexray plot --all --out figures --format svg
    """
    chosen = {
        "layerwise": layerwise,
        "similarity": similarity,
        "pca": pca,
        "load": load,
        "specifications": specifications,
    }
    names = [name for name, wanted in chosen.items() if wanted or every]
    of_trace = ["tokens"] if tokens or (every and trace is not None) else []
    if not names and not of_trace:
        message = f"name at least one figure: {', '.join(f'--{name}' for name in chosen)}, --tokens, or --all"
        raise typer.BadParameter(message)
    if tokens and trace is None:
        message = "--tokens needs --trace: `moexray capture --trace` writes signatures.trace.parquet"
        raise typer.BadParameter(message)
    paths = _paths([*names, *of_trace], out, format)
    for path in paths:
        check_writable(path)
    from moexray.views.figures.listing import make_figure, make_trace_figure
    from moexray.views.figures.style import save_figure

    loaded = Signatures.open(signatures)
    figures = [make_figure(name, loaded, phase=phase.value) for name in names]
    if trace is not None:
        opened = Trace.open(trace, loaded)
        figures += [make_trace_figure(name, loaded, opened, phase=phase.value) for name in of_trace]
    for path, figure in zip(paths, figures, strict=True):
        save_figure(figure, path)
        typer.echo(f"wrote {path}")


def _paths(names: list[str], out: Path, suffix: Format) -> list[Path]:
    if out.is_dir():
        return [out / f"{name}.{suffix}" for name in names]
    if not out.suffix:
        message = f"{out} is not a folder: make it first, or name a file that ends in .png, .svg or .pdf"
        raise FigureError(message)
    if out.suffix.lower() not in {f".{known}" for known in Format}:
        message = f"{out} has no suffix of a figure: end it with .png, .svg or .pdf"
        raise FigureError(message)
    if len(names) > 1:
        message = f"{out} is one file for {len(names)} figures: name a folder, and --format {out.suffix[1:]}"
        raise FigureError(message)
    return [out]
