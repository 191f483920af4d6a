"""What recording takes by itself: bytes of journal, signatures and trace, and the processor's time a token.

An engine without a model yields routing drawn at random for the geometry of a released model: experts of a layer
differ in popularity, categories differ a little, tokens are independent. So nothing but recording is measured. Real
routing repeats itself more, and takes fewer bytes: the recorded example is measured beside it. Every geometry is a
process of its own.

    python benchmarks/sizes.py --prompts 400
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from processes import in_a_process, resident

from moexray.engines.engine import Batching, Engine
from moexray.examples import FOLDER, example
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.recording.journal import journal_path
from moexray.recording.progress import Progress
from moexray.routing import RoutedSequence, RouterLayout, plain_segments

# Layers, experts and k of released models.
GEOMETRIES = {"OLMoE-1B-7B": (16, 64, 8), "Qwen3-235B-A22B": (94, 128, 8), "DeepSeek-V3": (58, 256, 8)}
PROMPT, GENERATED, CATEGORIES, VOCABULARY = 68, 32, 4, 50_000
TOKENS = PROMPT + GENERATED - 1  # the last one passes no router
MIB = 2**20


class DrawnEngine(Engine):
    """Yields routing drawn at random: the k greatest of popularity plus Gumbel noise, so that experts differ."""

    batching: Batching = "own"
    capabilities = frozenset[str]()

    def __init__(self, layers: int, experts: int, k: int, *, prompts: int) -> None:
        self.layout = RouterLayout(tuple(range(layers)), (experts,) * layers, (k,) * layers)
        self.description = {"model": "drawn at random", "engine": "drawn"}
        self._rng = np.random.default_rng(0)
        liking = np.random.default_rng(1).normal(size=(1 + CATEGORIES, layers, experts)).astype(np.float32)
        self._popularity = 0.7 * liking[0] + 0.3 * liking[1:]
        self._drawn = [self._sequence(place % CATEGORIES) for place in range(prompts)]

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:
        """Return the same length for all."""
        del generation
        return np.full(len(prompts), PROMPT, dtype=np.int32)

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, RoutedSequence]]:
        """Yield the sequences, which were drawn before anything is timed."""
        del generation, want, on_tokens
        yield from enumerate(self._drawn[: len(prompts)])

    def text_of(self, token_id: int) -> str:
        """Return a name of the token."""
        return f"token {token_id}"

    def close(self) -> None:
        """Do nothing."""

    def _sequence(self, category: int) -> RoutedSequence:
        liking, k = self._popularity[category], self.layout.top_k[0]
        scores = liking - np.log(self._rng.exponential(size=(TOKENS, *liking.shape)).astype(np.float32))
        return RoutedSequence(
            token_ids=self._rng.integers(VOCABULARY, size=TOKENS, dtype=np.int32),
            segments=plain_segments(PROMPT, TOKENS - PROMPT),
            experts=np.sort(np.argpartition(scores, -k, axis=2)[..., -k:].astype(np.int16), axis=2),
            output="drawn",
        )


def measured(name: str, prompts: int, folder: Path) -> dict[str, Any]:
    """Record prompts of one geometry with and without a trace, and return bytes, seconds and memory."""
    asked = [Prompt(f"prompt {i}", f"category {i % CATEGORIES}", f"p{i}") for i in range(prompts)]
    found: dict[str, Any] = {"raw": 2 * GEOMETRIES[name][0] * GEOMETRIES[name][2]}
    engine = DrawnEngine(*GEOMETRIES[name], prompts=prompts)
    capture_with(engine, asked[:8], Generation(GENERATED), out=folder / "first.npz", record=["trace"])  # imports
    for record in ((), ("trace",)):
        out = folder / f"{'-'.join(['signatures', *record])}.npz"
        journal: list[int] = []

        def look(progress: Progress, journal: list[int] = journal, out: Path = out) -> None:
            if progress.stage == "writing":
                journal.append(journal_path(out).stat().st_size)

        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        start = time.process_time()
        capture_with(engine, asked, Generation(GENERATED), out=out, record=record, on_progress=look)
        seconds = time.process_time() - start
        found[record[0] if record else "signatures"] = {
            "journal": journal[-1] / prompts,
            "file": out.stat().st_size / prompts,
            "trace": out.with_suffix(".trace.parquet").stat().st_size / prompts / TOKENS if record else 0.0,
            "microseconds": 1e6 * seconds / prompts / TOKENS,
            "memory": (resident("VmHWM") - before) / MIB,
        }
    return found


def main(
    *,
    prompts: Annotated[int, typer.Option(min=8, help="How many are recorded.")] = 400,
    only: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print bytes and time by geometry."""
    if only is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(only, prompts, Path(folder))))
        return
    print(f"{prompts} prompts of {PROMPT} tokens, {GENERATED} generated: {TOKENS} routed tokens each")
    for name, geometry in GEOMETRIES.items():
        found = in_a_process(sys.argv[0], "--prompts", str(prompts), "--only", name)
        print(f"{name} {geometry}: {found['raw']} bytes of raw selections (int16) a token")
        for what in ("signatures", "trace"):
            one = found[what]
            trace = f", trace {one['trace']:.0f} bytes a token" if one["trace"] else ""
            print(
                f"    {what:<11} journal {one['journal'] / 1e3:7.1f} kB and file {one['file'] / 1e3:6.1f} kB a prompt"
                f"{trace}; {one['microseconds']:.0f} µs a token; {one['memory']:.0f} MiB at most"
            )
    signatures = example().signatures
    routed = int(signatures.lengths().sum())
    sizes = [(FOLDER / f"signatures.{suffix}").stat().st_size for suffix in ("npz", "trace.parquet")]
    print(
        f"the recorded example {signatures.shape[2:]}: file {sizes[0] / 1e3 / len(signatures):.1f} kB a prompt, "
        f"trace with gate weights {sizes[1] / routed:.0f} bytes a token of {routed / len(signatures):.0f} a prompt"
    )


if __name__ == "__main__":
    typer.run(main)
