"""What analysis costs, beside the usual way: 80 prompts in full, 20,000 pairwise, a file of any size, and start-up.

Every measurement is a process of its own, so that its peak of resident memory is its own; what the process held
before the measured call, its input among it, is given beside the peak. Signatures are synthetic: four categories,
each with likings of its own, 16 layers of 64 experts, k = 8. The whole takes some minutes on two idle cores, and with
`--largest 1000000` about half an hour more and 2 GB of disk.

    python benchmarks/analysis.py --largest 100000
"""

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from numpy.lib import format as npy
from numpy.typing import NDArray
from processes import in_a_process, resident

LAYERS, EXPERTS, TOP_K, CATEGORIES = 16, 64, 8, 4
TOKENS = np.array([24, 32], dtype=np.int32)
BLOCK = 4096
SMALL, PAIRWISE = 80, 20_000
GIB = 2**30


def synthetic_counts(prompts: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw selections ``(prompts, 2, layers, experts)``; prompt i is of category i mod 4."""
    likings = np.random.default_rng(0).dirichlet(np.full(EXPERTS, 2.0), size=(CATEGORIES, LAYERS))
    own = likings[np.arange(prompts) % CATEGORIES] * rng.gamma(5, size=(prompts, LAYERS, EXPERTS))
    own /= own.sum(axis=2, keepdims=True)
    phases = [rng.multinomial(tokens * TOP_K, own) for tokens in TOKENS]
    return np.stack(phases, axis=1).astype(np.uint8)


def write_synthetic(path: Path, prompts: int) -> None:
    """Write a file of signatures in blocks: phases of prompts that were drawn once are joined anew in each block."""
    rng = np.random.default_rng(1)
    drawn = synthetic_counts(BLOCK, rng)
    by_category = np.arange(BLOCK).reshape(-1, CATEGORIES)

    def joined(rows: int) -> NDArray[np.uint8]:
        before, after = (rng.permuted(by_category, axis=0).ravel()[:rows] for _ in TOKENS)
        return np.stack([drawn[before, 0], drawn[after, 1]], axis=1)

    strings = {
        "categories": [f"category {i % CATEGORIES}" for i in range(prompts)],
        "prompt_ids": [f"prompt {i}" for i in range(prompts)],
    }
    members: dict[str, NDArray[Any]] = {
        "tokens": np.tile(TOKENS, (prompts, 1)),
        "layers": np.arange(LAYERS, dtype=np.int16),
        "top_k": np.full(LAYERS, TOP_K, dtype=np.int16),
        "meta": np.frombuffer(json.dumps({"schema": 1, "model": "synthetic"}).encode(), dtype=np.uint8),
    }
    for name, values in strings.items():
        encoded = [value.encode() for value in values]
        members[f"{name}.utf8"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        members[f"{name}.offsets"] = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w") as member:
                npy.write_array(member, array, allow_pickle=False)
        with archive.open("counts.npy", "w", force_zip64=True) as member:
            shape = (prompts, 2, LAYERS, EXPERTS)
            header = {"descr": npy.dtype_to_descr(drawn.dtype), "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(member, header)
            for start in range(0, prompts, BLOCK):
                member.write(joined(min(BLOCK, prompts - start)).tobytes())


def pairwise_input() -> NDArray[np.float64]:
    """Return the signatures that both contenders get."""
    counts = synthetic_counts(PAIRWISE, np.random.default_rng(2)).sum(axis=1, dtype=np.float64)
    return np.asarray((counts / counts.sum(axis=2, keepdims=True)).reshape(PAIRWISE, -1))


def by_scikit_learn(vectors: NDArray[np.float64], labels: list[str]) -> list[float]:
    """Means, deviations and d from the distances of all prompts with all, a chunk of rows at a time."""
    from sklearn.metrics import pairwise_distances_chunked

    numbers = np.unique(labels, return_inverse=True)[1]
    sums, start = np.zeros((2, 3)), 0
    for distances in pairwise_distances_chunked(vectors, metric="cosine"):
        similar = np.subtract(1, distances, out=distances)
        same = numbers[start : start + len(similar), None] == numbers
        inside = similar[same]
        within = np.array([inside.size, inside.sum(), inside @ inside])
        similar = similar.ravel()
        sums += within, [similar.size - within[0], similar.sum() - within[1], similar @ similar - within[2]]
        start += len(distances)
    sums[0] -= len(numbers)  # each prompt with itself
    pairs, first, second = sums.T / 2
    means = first / pairs
    squares = second - first * means
    d = (means[0] - means[1]) / np.sqrt(squares.sum() / (pairs.sum() - 2))
    return [*means.tolist(), *np.sqrt(squares / (pairs - 1)).tolist(), float(d)]


def by_moexray(vectors: NDArray[np.float64], labels: list[str]) -> list[float]:
    """Return the same from the function that `moexray analyze` calls, which adds intervals and every layer's effect."""
    from moexray.stats.pairs.streaming import similarity_of_blocks

    shares = vectors.reshape(len(vectors), -1, EXPERTS)
    blocks = [shares[start : start + BLOCK] for start in range(0, len(shares), BLOCK)]
    found, _ = similarity_of_blocks(blocks, labels, auc=None)
    return [found.within.mean, found.across.mean, found.within.std, found.across.std, found.cohens_d]  # type: ignore[list-item]


def analyzed(path: Path) -> list[float]:
    """Analyze a file as `moexray analyze` does; print each statistic's time, by the clock and of the processor."""
    from moexray.signatures import Signatures
    from moexray.studies.analysis import analyze

    began: list[tuple[str, float, float]] = []

    def begin(name: str) -> None:
        began.append((name, time.perf_counter(), time.process_time()))

    found = analyze(Signatures.open(path), on_step=begin)
    begin("")
    for (name, start, used), (_, end, then) in pairwise(began):
        print(f"    {name:<16} {end - start:8.1f} s {then - used:8.1f} s", file=sys.stderr)
    return [found.similarity.cohens_d]  # type: ignore[list-item]


CONTENDERS = {"scikit-learn": by_scikit_learn, "moexray": by_moexray}


def measured(contender: str, path: Path) -> None:
    """Run one contender in this process and print seconds, resident memory before and at its peak, and values."""
    inputs: tuple[Any, ...] = (path,)
    if contender in CONTENDERS:
        inputs = np.load(path), [f"category {i % CATEGORIES}" for i in range(PAIRWISE)]
        CONTENDERS[contender](inputs[0][:EXPERTS], inputs[1][:EXPERTS])  # imports are not timed
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = resident("VmRSS")
    started = time.perf_counter()
    values = CONTENDERS.get(contender, analyzed)(*inputs)
    seconds = time.perf_counter() - started
    peak = resident("VmHWM")
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak, "values": values}))


def seconds_of_command(*command: str) -> float:
    """Time a command."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare_pairwise(rounds: int, path: Path) -> None:
    """Print how the contenders compare at 20,000 prompts, taking turns."""
    print(f"\n{PAIRWISE:,} prompts × {LAYERS * EXPERTS:,}: means, deviations and d of pairs within and across")
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name in CONTENDERS:
            found.setdefault(name, []).append(in_a_process(__file__, "--only", name, "--path", str(path)))
    seconds = {name: median(one["seconds"] for one in turns) for name, turns in found.items()}
    memory = {name: median(one["peak"] - one["before"] for one in turns) for name, turns in found.items()}
    for name in found:
        print(f"  {name:<16} {seconds[name]:8.2f} s   {memory[name] / 2**20:8.0f} MiB beside its input")
    print(
        f"  scikit-learn takes {seconds['scikit-learn'] / seconds['moexray']:.1f} × the time of moexray "
        f"and {memory['scikit-learn'] / memory['moexray']:.1f} × the memory"
    )
    ours, theirs = (np.array(found[name][0]["values"]) for name in ("moexray", "scikit-learn"))
    print(f"  values differ by at most {np.abs(ours - theirs).max():.1e}")


def main(
    *,
    largest: Annotated[int, typer.Option(help="Prompts of the largest file; the smaller ones have a tenth.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often contenders take turns.")] = 3,
    only: Annotated[str, typer.Option(hidden=True)] = "",
    path: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> None:
    """Measure everything, and print it."""
    if only:
        measured(only, path)
        return
    numpy_seconds = median(seconds_of_command("-c", "import numpy") for _ in range(4 * rounds))
    for name, command in {"import moexray": ("-c", "import moexray"), "--help": ("-m", "moexray", "--help")}.items():
        taken = median(seconds_of_command(*command) for _ in range(4 * rounds))
        print(f"{name:<18} {taken:6.2f} s, {taken / numpy_seconds:.2f} × import numpy ({numpy_seconds:.2f} s)")
    sizes = [SMALL, *(size for size in (largest // 100, largest // 10, largest) if size >= 10_000)]
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", pairwise_input())
        compare_pairwise(rounds, Path(folder) / "vectors.npy")
        for prompts in sizes:
            file = Path(folder) / "signatures.npz"
            write_synthetic(file, prompts)
            print(
                f"\nmoexray analyze, {prompts:,} prompts × {LAYERS * EXPERTS:,}, {file.stat().st_size / 2**20:.0f} MiB"
            )
            found = in_a_process(__file__, "--only", "analyze", "--path", str(file))
            print(f"  {found['seconds']:8.1f} s   {found['peak'] / GIB:.2f} GiB resident at most", flush=True)


if __name__ == "__main__":
    typer.run(main)
