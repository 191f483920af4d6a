"""What the control of token identity costs: 80 prompts in full, and a trace of any length, streamed.

Tokens are synthetic: ids by Zipf's law from a vocabulary of 4,096, routed by id, category and chance through 16 layers
of 64 experts, k = 8. Every measurement is a process of its own, so that its peak of memory is its own.

    python benchmarks/token_identity.py --prompts 100000
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from processes import in_a_process, resident
from pyarrow import parquet

from moexray.prompt_table import PromptTable
from moexray.signatures import Signatures

LAYERS, EXPERTS, TOP_K, VOCABULARY, CATEGORIES, LENGTH = 16, 64, 8, 4096, 4, 64
BLOCK = 256
MIB = 2**20


def write_synthetic(folder: Path, prompts: int) -> None:
    """Write a trace in blocks of 256 prompts, and the signatures that go with it."""
    rng, router = np.random.default_rng(1), np.random.default_rng(0)
    by_id = router.normal(size=(VOCABULARY, LAYERS, EXPERTS)).astype(np.float32)
    by_kind = 0.5 * router.normal(size=(CATEGORIES, LAYERS, EXPERTS)).astype(np.float32)
    often = 1 / (10 + np.arange(VOCABULARY))
    likely = np.array([router.permuted(often.reshape(-1, 64), axis=1).ravel() for _ in range(CATEGORIES)])
    likely = (likely / likely.sum(axis=1, keepdims=True)).cumsum(axis=1)
    counts = np.zeros((prompts, 2, LAYERS, EXPERTS), dtype=np.uint8)
    writer = None
    for start in range(0, prompts, BLOCK):
        which = np.arange(start, min(start + BLOCK, prompts))
        kinds = which % CATEGORIES
        ids = np.array([np.searchsorted(likely[kind], rng.random(LENGTH)) for kind in kinds]).clip(0, VOCABULARY - 1)
        scores = by_id[ids] + by_kind[kinds][:, None] + rng.gumbel(size=(len(which), LENGTH, LAYERS, EXPERTS))
        chosen = np.argpartition(-scores, TOP_K, axis=3)[..., :TOP_K].astype(np.int16)
        for layer in range(LAYERS):
            cells = np.arange(len(which))[:, None, None] * EXPERTS + chosen[:, :, layer]
            counts[which, 0, layer] = np.bincount(cells.ravel(), minlength=len(which) * EXPERTS).reshape(-1, EXPERTS)
        rows = len(which) * LENGTH * LAYERS
        names = pa.array([f"p{i}" for i in which])
        table = pa.table(
            {
                "prompt": pa.DictionaryArray.from_arrays(
                    pa.array(np.repeat(np.arange(len(which), dtype=np.int32), LENGTH * LAYERS)), names
                ),
                "position": np.tile(np.repeat(np.arange(LENGTH, dtype=np.int32), LAYERS), len(which)),
                "token_id": np.repeat(ids.ravel().astype(np.int32), LAYERS),
                "phase": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["prompt"])),
                "layer": np.tile(np.arange(LAYERS, dtype=np.int16), len(which) * LENGTH),
                "experts": pa.ListArray.from_arrays(
                    np.arange(0, (rows + 1) * TOP_K, TOP_K, dtype=np.int32), chosen.ravel()
                ),
            }
        )
        writer = writer or parquet.ParquetWriter(folder / "trace.parquet", table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
    Signatures(
        counts=counts,
        tokens=np.tile(np.array([LENGTH, 0], dtype=np.int32), (prompts, 1)),
        prompts=PromptTable(
            ids=tuple(f"p{i}" for i in range(prompts)),
            categories=tuple(f"kind {i % CATEGORIES}" for i in range(prompts)),
        ),
        layers=np.arange(LAYERS, dtype=np.int16),
        top_k=np.full(LAYERS, TOP_K, dtype=np.int16),
        meta={"model": "synthetic"},
    ).save(folder / "signatures.npz")


def run_task(folder: Path, task: str) -> None:
    """Run the whole control, or stream the gain, and print seconds, by the clock and of processors, and peak memory."""
    from moexray.signatures import Signatures
    from moexray.studies.cohort import Cohort
    from moexray.studies.notes import Notes
    from moexray.studies.sections.same_token import streamed_gains
    from moexray.studies.sections.token_identity import token_identity
    from moexray.trace import Trace

    signatures = Signatures.open(folder / "signatures.npz")
    trace = Trace.open(folder / "trace.parquet", signatures)
    cohort = Cohort.of(signatures, trace=trace) if task == "control" else None
    seconds, of_processors = [], []
    for _ in range(3 if task == "control" else 1):
        started, before = time.perf_counter(), time.process_time()
        if cohort is not None:
            token_identity(cohort, Notes())
        else:
            streamed_gains(trace)
        seconds.append(time.perf_counter() - started)
        of_processors.append(time.process_time() - before)
    typer.echo(
        json.dumps({"seconds": median(seconds), "of_processors": median(of_processors), "peak": resident("VmHWM")})
    )


def main(
    *,
    prompts: Annotated[int, typer.Option(help="Prompts of the long trace, of 64 tokens each.")] = 2_000,
    task: Annotated[str | None, typer.Option(hidden=True)] = None,
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure, and print a line for each."""
    if task is not None and folder is not None:
        run_task(folder, task)
        return
    for size, what in ((80, "control"), (prompts, "stream")):
        with tempfile.TemporaryDirectory() as made:
            write_synthetic(Path(made), size)
            found = in_a_process(__file__, "--task", what, "--folder", made)
            length = (Path(made) / "trace.parquet").stat().st_size / MIB
        memory = f"{found['peak'] / MIB:,.0f} MiB at most"
        took = f"{found['seconds']:.2f} s ({found['of_processors']:.2f} s of processors)"
        typer.echo(f"{what}, {size:,} prompts: {took}, {memory}, trace of {length:,.0f} MiB")


if __name__ == "__main__":
    typer.run(main)
