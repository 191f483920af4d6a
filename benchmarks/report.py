"""How large a report is, how long it takes to write, and how fast it answers in a browser.

Reports are of signatures and a trace drawn at random for the geometry of released models; their analysis is of a few
of the prompts, since only sizes and times are measured. Times by the clock count on an idle machine only: the load is
printed beside them, and processor time, which others' work changes little.

    python benchmarks/report.py --prompts 5000
    python benchmarks/report.py --prompts 5000 --no-tokens
    python benchmarks/report.py --example
    python benchmarks/report.py --file signatures.npz --trace signatures.trace.parquet
"""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from drawn_routing import drawn
from processes import in_a_process, resident
from report_in_browser import opened

from moexray.examples import example as bundled
from moexray.formats import count
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.trace import Trace
from moexray.views.report.report import MEGABYTE, report

# Layers, experts and k of released models.
GEOMETRIES = {"OLMoE-1B-7B": (16, 64, 8), "Qwen3-30B-A3B": (48, 128, 8), "DeepSeek-V3": (58, 256, 8)}
ANALYZED = 40
# A report of 80 prompts with their tokens shall be smaller, sooner usable and faster in every frame.
LIMITS = {"megabytes": 3, "usable": 1000, "frame": 50}


def written(geometry: str, prompts: int, *, most: float, tokens: bool, page: Path) -> dict[str, Any]:
    """Write a report and return its size, the time that it took and what it says that it leaves out."""
    layers, experts, k = GEOMETRIES[geometry]
    folder = page.parent if tokens else None
    signatures, trace = drawn(prompts, layers=layers, experts=experts, k=k, folder=folder)
    analysis = analyze(signatures.take(range(min(ANALYZED, prompts))), permutations=9)
    about = replace(analysis.signatures, prompts=prompts, fingerprint=signatures.fingerprint)
    drawing = resident("VmHWM")
    begun = time.perf_counter(), time.process_time()
    found = report(
        replace(analysis, signatures=about),
        signatures,
        trace=trace,
        most_bytes=int(most * MEGABYTE),
    )
    seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
    page.write_text(found.html, encoding="utf-8")
    return {
        "megabytes": len(found.html.encode()) / MEGABYTE,
        "seconds": seconds,
        "gibibytes": (resident("VmHWM") / 2**30, drawing / 2**30),
        "remarks": found.remarks,
    }


def say_written(name: str, found: dict[str, Any], most: float) -> None:
    """Print a line of what was written."""
    clock, worked = found["seconds"]
    peak, before = found["gibibytes"]
    print(
        f"{name}: {found['megabytes']:.1f} MB of at most {most:g}, written in {worked:.0f} s of processor time "
        f"({clock:.0f} s by the clock), at most {peak:.1f} GiB in memory (drawing the data took {before:.1f})"
    )
    for remark in found["remarks"]:
        print(f"    says: {remark}")


def say_opened(path: Path, turns: int, *, limits: bool) -> None:
    """Print lines of how fast a report answers, and of 80 prompts whether the limits are kept by the clock."""
    found = opened(path, turns)
    size = path.stat().st_size / MEGABYTE
    clock, worked = found.usable
    print(f"    in Chromium: usable after {clock:.0f} ms by the clock, {worked:.0f} ms of processor time")
    for name, (frame, work) in found.frames.items():
        print(f"    slowest frame of choosing {name}: {frame:.0f} ms by the clock, {work:.0f} ms of processor time")
    name, (frame, work) = found.slowest
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    kept = size < LIMITS["megabytes"] and clock < LIMITS["usable"] and frame < LIMITS["frame"]
    wanted = f"{LIMITS['megabytes']} MB, {LIMITS['usable']} ms, {LIMITS['frame']} ms"
    verdict = f", {'within' if kept else 'beyond'} {wanted}" if limits else ""
    print(
        f"CLOCK {size:.2f} MB, usable {clock:.0f} ms, slowest frame {frame:.0f} ms ({name}; {work:.0f} ms of processor "
        f"time){verdict}; "
        f"load {load:.1f} for each processor, {'idle' if load < 0.5 else 'BUSY: measure again'}"
    )


def recorded_in(file: Path, trace: Path | None) -> tuple[Signatures, Trace | None]:
    """Open signatures and their trace, if there is one."""
    signatures = Signatures.open(file)
    return signatures, None if trace is None else Trace.open(trace, signatures)


def main(
    *,
    prompts: Annotated[int, typer.Option(help="Prompts of the drawn signatures.")] = 5000,
    most: Annotated[float, typer.Option("--max-size", help="Megabytes.")] = 25.0,
    tokens: Annotated[bool, typer.Option(help="With the trace.")] = True,
    only: Annotated[str | None, typer.Option(help="One of the geometries.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the reports in Chromium.")] = False,
    example: Annotated[bool, typer.Option(help="The 80 prompts that come with moexray, in Chromium.")] = False,
    file: Annotated[Path | None, typer.Option(help="Recorded signatures, in Chromium.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Their trace.")] = None,
    turns: Annotated[int, typer.Option(help="How often Chromium opens a report.")] = 5,
    into: Annotated[Path | None, typer.Option(help="Write one report, in this process.", hidden=True)] = None,
) -> None:
    """Measure reports."""
    import json

    if into is not None and only is not None:
        print(json.dumps(written(only, prompts, most=most, tokens=tokens, page=into)))
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        if example or file is not None:
            signatures, recorded = bundled() if file is None else recorded_in(file, trace)
            analysis = analyze(signatures, permutations=99, trace=recorded)
            page.write_text(report(analysis, signatures, trace=recorded).html, encoding="utf-8")
            print(f"{count(len(signatures), 'prompt')} of {file or 'moexray.example()'}")
            say_opened(page, turns, limits=True)
            return
        for geometry in GEOMETRIES if only is None else (only,):
            options = ("--prompts", str(prompts), "--max-size", str(most), "--only", geometry, "--into", str(page))
            found = in_a_process(__file__, *options, "--tokens" if tokens else "--no-tokens")
            say_written(f"{geometry}, {prompts:,} prompts {'with' if tokens else 'without'} tokens", found, most)
            if browser:
                say_opened(page, turns, limits=False)


if __name__ == "__main__":
    typer.run(main)
