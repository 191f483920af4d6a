"""`moexray demo`."""

import textwrap
import time
from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.analyze import analyze_with_progress
from moexray.cli.capture import describe
from moexray.cli.progress import capture_progress
from moexray.errors import MoexrayError
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture
from moexray.views.sentences import summarize

_MODEL_CAVEAT = (
    "The embedded model has 4 million parameters and was trained for this demonstration: "
    "its figures show the toolkit at work and say nothing about OLMoE."
)


def demo(
    *, out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")] = Path("moexray-demo")
) -> None:
    """Capture, analyze and draw 80 prompts with the small model that comes with moexray: offline, in a minute or two.

    Example: moexray demo
    """
    from moexray.views.figures.listing import FIGURES, make_figure
    from moexray.views.figures.style import save_figure

    started = time.perf_counter()
    _make_folder(out)
    typer.echo("The routing of 80 prompts (code, factual, math, story) through the embedded scale model")
    prompts, file = bundled_prompts(), out / "signatures.npz"
    with capture_progress() as status:
        signatures = capture(prompts, model="scale", out=file, device="cpu", dtype="float32", on_progress=status.update)
    _done(file.name, describe(signatures), started)
    analysis = analyze_with_progress(signatures)
    analysis.save(out / "analysis.json")
    _done("analysis.json", f"{len(analysis.document['layers'])} layers tested, 10,000 shuffles", started)
    for name in FIGURES:
        save_figure(make_figure(name, signatures), out / f"{name}.png")
    _done(f"{len(FIGURES)} figures", ", ".join(f"{name}.png" for name in FIGURES), started)
    typer.echo("")
    for sentence in [*summarize(analysis.document), _MODEL_CAVEAT]:
        typer.echo(textwrap.fill(sentence, width=80, initial_indent="- ", subsequent_indent="  "))
    typer.echo(f"\nEverything is in {out}/. Next: moexray analyze {out / 'signatures.npz'}")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        message = f"the folder {out} could not be made: {error.strerror}"
        raise MoexrayError(message) from error


def _done(what: str, detail: str, started: float) -> None:
    typer.echo(f"  {time.perf_counter() - started:5.1f} s  {what}: {detail}")
