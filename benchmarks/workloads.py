"""What studies of a trace cost: 80 prompts, all of them together, and a long trace that is streamed.

The 80 prompts are the recorded example. The long trace is synthetic (see benchmarks/token_identity.py): 64 tokens a
prompt, 16 layers of 64 experts, k = 8. At most 4,000 prompts are drawn, and written again under other names. Every
measurement is a process of its own, so that its peak of memory is its own. Times are by the clock and of processors:
on a busy machine the second says more.

    python benchmarks/workloads.py --prompts 100000
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from processes import in_a_process, resident
from pyarrow import parquet
from token_identity import write_synthetic

from moexray.examples import FOLDER
from moexray.prompt_table import PromptTable
from moexray.signatures import Signatures

MIB = 2**20
TURNS, DRAWN = 5, 4_000


def write_long(folder: Path, prompts: int) -> None:
    """Write a trace of many prompts, and its signatures, from the same prompts again and again."""
    drawn = folder / "drawn"
    drawn.mkdir()
    write_synthetic(drawn, min(prompts, DRAWN))
    signatures = Signatures.open(drawn / "signatures.npz")
    source = parquet.ParquetFile(drawn / "trace.parquet")
    with parquet.ParquetWriter(folder / "signatures.trace.parquet", source.schema_arrow, compression="zstd") as writer:
        written = 0
        while written < prompts:
            for number in range(source.num_row_groups):
                table = source.read_row_group(number)
                own = table.column("prompt").combine_chunks()
                held = min(len(own.dictionary), prompts - written)
                names = pa.array([f"p{written + place}" for place in range(len(own.dictionary))])
                renamed = pa.DictionaryArray.from_arrays(own.indices, names)
                rows = held * (table.num_rows // len(own.dictionary))
                writer.write_table(table.set_column(0, "prompt", renamed).slice(0, rows))
                written += held
    places = np.arange(prompts) % len(signatures)
    Signatures(
        counts=np.asarray(signatures.counts)[places],
        tokens=signatures.tokens[places],
        prompts=PromptTable(
            ids=tuple(f"p{place}" for place in range(prompts)),
            categories=tuple(signatures.prompts.categories[place] for place in places.tolist()),
        ),
        layers=signatures.layers,
        top_k=signatures.top_k,
        meta=signatures.meta,
    ).save(folder / "signatures.npz")
    shutil.rmtree(drawn)


def studies() -> Mapping[str, Callable[[Any], Any]]:
    """Return the studies of a trace, by the name of their command."""
    from moexray.studies.batching import study_batches
    from moexray.studies.caching import study_caches
    from moexray.studies.coverage import study_coverage
    from moexray.studies.placement import place

    return {
        "batch": study_batches,
        "coverage": lambda trace: study_coverage(trace.signatures),
        "place": lambda trace: place(trace.signatures, devices=8, trace=trace),
        "cache": study_caches,
        "cache --shared": lambda trace: study_caches(trace, shared=True),
    }


def run_study(name: str, folder: Path, turns: int) -> None:
    """Run a study and print the median seconds, by the clock and of processors, and peak memory."""
    import moexray as mx

    signatures = mx.Signatures.open(folder / "signatures.npz")
    trace = mx.Trace.open(folder / "signatures.trace.parquet", signatures)
    study = studies()[name]
    seconds, of_processors = [], []
    if turns > 1:
        study(trace)  # imports are not timed
    for _ in range(turns):
        started, before = time.perf_counter(), time.process_time()
        study(trace)
        seconds.append(time.perf_counter() - started)
        of_processors.append(time.process_time() - before)
    found = {"seconds": median(seconds), "of_processors": median(of_processors), "peak": resident("VmHWM")}
    typer.echo(json.dumps(found))


def measure(folder: Path, names: list[str], prompts: int, turns: int) -> None:
    """Print a line for each study of the trace of a folder."""
    for name in names:
        found = in_a_process(__file__, "--only", name, "--folder", str(folder), "--turns", str(turns))
        took = f"{found['seconds']:8.2f} s  ({found['of_processors']:.2f} s of processors)"
        typer.echo(f"{prompts:>9,} prompts  {name:<16} {took}  {found['peak'] / MIB:6,.0f} MiB at most")


def main(
    *,
    prompts: Annotated[int, typer.Option(help="Prompts of the long trace, of 64 tokens each; 0 for none.")] = 2_000,
    only: Annotated[str | None, typer.Option(help="One study, by its name in the output.")] = None,
    turns: Annotated[int, typer.Option(hidden=True)] = TURNS,
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure, and print a line for each."""
    if folder is not None and only is not None:
        run_study(only, folder, turns)
        return
    names = list(studies()) if only is None else [only]
    measure(FOLDER, names, 80, TURNS)
    if not prompts:
        return
    with tempfile.TemporaryDirectory() as made:
        write_long(Path(made), prompts)
        length = (Path(made) / "signatures.trace.parquet").stat().st_size / MIB
        typer.echo(f"a trace of {length:,.0f} MiB")
        measure(Path(made), names, prompts, 1)


if __name__ == "__main__":
    typer.run(main)
