"""How large a report is, how long it takes to write, and how fast it answers in a browser.

Sizes are of signatures drawn at random for the geometry of released models; their analysis is of a few of the prompts,
since only sizes are measured. Times in the browser are of recorded signatures and their trace.

    python benchmarks/report.py --prompts 5000
    python benchmarks/report.py --file signatures.npz --trace signatures.trace.parquet
"""

import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from processes import in_a_process, resident

from moexray.prompt_table import PromptTable
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.trace import Trace
from moexray.views.report.report import MEGABYTE, report

# Layers, experts and k of released models.
GEOMETRIES = {"OLMoE-1B-7B": (16, 64, 8), "Qwen3-30B-A3B": (48, 128, 8), "DeepSeek-V3": (58, 256, 8)}
CATEGORIES, ANALYZED = 4, 40
CHROMIUM = "/usr/bin/chromium"
# The time from a new value of a control until the next frame is drawn.
FRAME = """async (value) => {
  const slider = document.getElementById("choice-layer");
  slider.value = String(value);
  const begun = performance.now();
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}"""


def drawn(prompts: int, layers: int, experts: int, k: int) -> Signatures:
    """Return signatures whose experts differ in popularity, a little by category, with a text of 200 letters each."""
    rng = np.random.default_rng(0)
    liking = rng.gumbel(size=(1 + CATEGORIES, layers, experts))
    tokens = rng.integers(30, 100, size=(prompts, 2))
    counts = np.zeros((prompts, 2, layers, experts), dtype=np.uint16)
    for prompt in range(prompts):
        scores = liking[0] + liking[1 + prompt % CATEGORIES] / 2 + rng.gumbel(size=(layers, experts)) / 4
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        for segment in range(2):
            counts[prompt, segment] = rng.multinomial(tokens[prompt, segment] * k, shares)
    words = [f"word{i}" for i in range(2000)]
    texts = tuple(" ".join(rng.choice(words, 30)) for _ in range(prompts))
    table = PromptTable(
        ids=tuple(f"prompt-{i}" for i in range(prompts)),
        categories=tuple(f"category {i % CATEGORIES}" for i in range(prompts)),
        texts=texts,
        outputs=texts[::-1],
    )
    return Signatures(
        counts=counts,
        tokens=tokens.astype(np.int32),
        prompts=table,
        layers=np.arange(layers, dtype=np.int16),
        top_k=np.full(layers, k, dtype=np.int16),
        meta={"model": "drawn at random"},
    )


def written(geometry: str, prompts: int, most: float) -> dict[str, Any]:
    """Return the size of a report, the time that it took and what it says that it leaves out."""
    signatures = drawn(prompts, *GEOMETRIES[geometry])
    analysis = analyze(signatures.take(range(ANALYZED)), permutations=9)
    about = replace(analysis.signatures, prompts=prompts, fingerprint=signatures.fingerprint)
    begun = time.perf_counter()
    page = report(replace(analysis, signatures=about), signatures, most_bytes=int(most * MEGABYTE))
    return {
        "megabytes": len(page.html.encode()) / MEGABYTE,
        "seconds": time.perf_counter() - begun,
        "resident_mib": resident("VmHWM") / 2**20,
        "remarks": page.remarks,
    }


def in_browser(file: Path, trace: Path | None, turns: int) -> dict[str, Any]:
    """Return the size of a report, and how fast it answers: medians, and the slowest frame of all."""
    from playwright.sync_api import sync_playwright

    signatures = Signatures.open(file)
    opened = None if trace is None else Trace.open(trace, signatures)
    page = report(analyze(signatures, permutations=99), signatures, trace=opened)
    usable: list[float] = []
    frames: list[float] = []
    works: dict[str, list[float]] = {"until usable": [], "a frame": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(page.html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(turns):
            shown = browser.new_page()
            session = shown.context.new_cdp_session(shown)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time of the page's thread
            shown.goto(path.as_uri())
            shown.locator("html.alive").wait_for()
            worked = _worked(session)
            works["until usable"].append(worked)
            usable.append(shown.evaluate("() => performance.getEntriesByName('alive')[0].startTime"))
            layers = len(signatures.layers)
            frames += [shown.evaluate(FRAME, layer) for layer in range(layers)]
            works["a frame"].append((_worked(session) - worked) / layers)
            shown.close()
        browser.close()
    return {
        "megabytes": len(page.html.encode()) / MEGABYTE,
        "usable_ms": statistics.median(usable),
        "frame_ms": statistics.median(frames),
        "slowest_frame_ms": max(frames),
        "processor_ms": {name: statistics.median(found) for name, found in works.items()},
    }


def _worked(session: Any) -> float:
    """Return the milliseconds that the thread of a page has worked."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(1000 * one["value"] for one in metrics if one["name"] == "TaskDuration"))


def main(
    *,
    prompts: Annotated[int, typer.Option(help="Prompts of the drawn signatures.")] = 5000,
    most: Annotated[float, typer.Option("--max-size", help="Megabytes.")] = 25.0,
    file: Annotated[Path | None, typer.Option(help="Recorded signatures, to be opened in a browser.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Their trace.")] = None,
    only: Annotated[str | None, typer.Option(help="One geometry, in this process.", hidden=True)] = None,
    turns: Annotated[int, typer.Option(help="How often the browser opens the report.")] = 5,
) -> None:
    """Measure reports."""
    if file is not None:
        print(json.dumps(in_browser(file, trace, turns)))
    elif only is not None:
        print(json.dumps(written(only, prompts, most)))
    else:
        for geometry in GEOMETRIES:
            options = ("--prompts", str(prompts), "--max-size", str(most), "--only", geometry)
            print(geometry, in_a_process(__file__, *options))


if __name__ == "__main__":
    typer.run(main)
