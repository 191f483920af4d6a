"""`moexray demo`."""

import textwrap
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.capture import describe
from moexray.cli.progress import capture_progress
from moexray.cli.render import say
from moexray.cli.report import open_page, write_page
from moexray.errors import MoexrayError
from moexray.files import check_writable, companion
from moexray.formats import count
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture
from moexray.recording.recorders.trace import TRACE
from moexray.views.figures import ANALYSIS, FIGURES, MATRIX, OF_SIGNATURES, SHARES, figure, figures_of

_MODEL_CAVEAT = (
    "The embedded model has 4 million parameters and was trained for this demonstration: "
    "its numbers show the toolkit at work and say nothing about OLMoE."
)


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")] = Path("moexray-demo"),
    open: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Capture, analyze and draw 80 prompts with the small model that comes with moexray, offline.

    It ends with a report to explore. Where pyarrow is installed, a trace is recorded and the report shows tokens.

    Example: moexray demo --open
    """
    from moexray.cli.next_command import after_signatures
    from moexray.cli.saved_analysis import analyze_with_progress
    from moexray.studies.category_shares import category_shares
    from moexray.studies.similarity_matrix import similarity_matrix
    from moexray.trace import Trace
    from moexray.views.figures.style import save_figure
    from moexray.views.report.report import MEGABYTE, report
    from moexray.views.sentences import summarize

    started = time.perf_counter()
    _make_folder(out)
    names = [name for name in figures_of(*OF_SIGNATURES) if FIGURES[name].needs != "trace"]
    page, file = out / "report.html", out / "signatures.npz"
    trace = companion(file, TRACE.suffix) if find_spec("pyarrow") else None
    for written in (file, trace, out / "analysis.json", page, *(out / f"{name}.png" for name in names)):
        if written is not None:
            check_writable(written)
    say("The routing of 80 prompts (code, factual, math, story) through the embedded scale model")
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "record": [] if trace is None else ["trace"]}
    with capture_progress() as status:
        signatures = capture(bundled_prompts(), model="scale", out=file, on_progress=status.update, **options)
    _done(file.name, describe(signatures), started)
    analysis = analyze_with_progress(signatures, specifications=True)
    analysis.save(out / "analysis.json")
    layers, permutations = count(len(analysis.layers), "layer"), analysis.settings.permutations
    _done("analysis.json", f"{layers} tested, {count(permutations, 'permutation')}", started)
    results = {
        ANALYSIS: analysis,
        MATRIX: similarity_matrix(signatures),
        SHARES: category_shares(signatures),
    }
    for name in names:
        save_figure(figure(name)(results[FIGURES[name].of]), out / f"{name}.png")
    _done(count(len(names), "figure"), ", ".join(f"{name}.png" for name in names), started)
    opened = None if trace is None else Trace.open(trace, signatures)
    size = write_page(report(analysis, signatures, trace=opened, file=str(file)), page)
    _done(page.name, f"{size / MEGABYTE:.1f} MB, to explore in a browser", started)
    say("")
    for sentence in [*summarize(analysis), _MODEL_CAVEAT]:
        for line in textwrap.wrap(sentence, width=80, initial_indent="- ", subsequent_indent="  "):
            say(line)
    say("")
    say(f"Everything is in {out}/: open {page} in a browser.")
    after_signatures(file, signatures, trace=trace)
    if open:
        open_page(page)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        message = f"the folder {out} could not be made: {error.strerror}"
        raise MoexrayError(message) from error


def _done(what: str, detail: str, started: float) -> None:
    say(f"  {time.perf_counter() - started:5.1f} s  {what}: {detail}")
