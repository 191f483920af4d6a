"""Several files that are read as one hold what the merged file holds, and an analysis of them is that of the file."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import moexray
from moexray import counts
from moexray.errors import AnalysisError, SignaturesError, TraceError
from moexray.generation import Generation
from moexray.merging import merge_files, trace_of, view_of
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.studies.limits import LIMITS, Limits
from moexray.trace import Trace

from .. import made
from ..recording.made_engine import MadeEngine

SHARDS = 3
# Of more than 30 prompts, 24 are drawn for what is not streamed.
FEW = replace(LIMITS, in_memory=30, sample=24, token_prompts=16)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be of 7 prompts, so that they end inside of parts."""
    monkeypatch.setattr(counts, "_BLOCK_NUMBERS", 7 * 3 * 8)
    monkeypatch.setattr("moexray.trace_file._ROW_GROUP", 60)


def prompts(number: int, start: int = 0) -> list[Prompt]:
    rng = np.random.default_rng(start)
    letters = ["".join(rng.choice(list("abcdefg" if i % 2 else "efghijk"), 4 + i % 5)) for i in range(number)]
    return [Prompt(text, "xy"[i % 2], f"p{start + i}") for i, text in enumerate(letters)]


def captured(folder: Path, *, shards: bool) -> list[Path]:
    """Capture prompts with their traces as three shards, or as captures of 5, 20 and 15 prompts."""
    settings: dict[str, Any] = {"record": ("trace", "weights")}
    if shards:
        found = [
            capture_with(
                MadeEngine(), prompts(40), Generation(2), out=folder / "all.npz", shard=(i, SHARDS), **settings
            )
            for i in range(SHARDS)
        ]
    else:
        parts = [(0, 5), (5, 20), (25, 15)]
        found = [
            capture_with(MadeEngine(), prompts(n, start), Generation(2), out=folder / f"{start}.npz", **settings)
            for start, n in parts
        ]
    return [one.file for one in found]


def opened(files: Sequence[Path]) -> tuple[list[Signatures], list[Trace]]:
    parts = [Signatures.open(file) for file in files]
    return parts, [
        Trace.open(file.with_suffix(".trace.parquet"), part) for file, part in zip(files, parts, strict=True)
    ]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shards", [True, False])
def test_a_view_holds_what_the_merged_file_holds(tmp_path: Path, shards: bool) -> None:
    files = captured(tmp_path, shards=shards)
    merged = Signatures.open(merge_files(files, tmp_path / "merged.npz").files[0])
    view = view_of([Signatures.open(file) for file in files])
    assert (view.fingerprint, view.meta, view.shape) == (merged.fingerprint, merged.meta, merged.shape)
    assert not view.in_memory
    assert dict(view.prompts.all_columns()) == dict(merged.prompts.all_columns())
    for ours, theirs in zip(view.blocks(), merged.blocks(), strict=True):
        assert ours.prompts == theirs.prompts
        assert np.array_equal(ours.counts, theirs.counts)
        assert np.array_equal(ours.mass, theirs.mass)
    some = [39, 0, 17, 17 + 1]
    assert view.take(some).prompts.texts == merged.take(some).prompts.texts
    assert np.array_equal(view.take(some).counts, merged.take(some).counts)
    assert view.prompts.outputs[-1] == merged.prompts.outputs[-1]
    view.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "merged.npz").read_bytes()
    assert np.array_equal(view.counts, merged.counts)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shards", [True, False])
def test_traces_read_as_one_are_the_merged_trace_block_by_block(tmp_path: Path, shards: bool) -> None:
    files = captured(tmp_path, shards=shards)
    merged = Signatures.open(merge_files(files, tmp_path / "merged.npz").files[0])
    theirs = Trace.open(tmp_path / "merged.trace.parquet", merged)
    parts, traces = opened(files)
    ours = trace_of(traces[::-1], view_of(parts))
    for one, other in zip(ours.blocks(weights=True), theirs.blocks(weights=True), strict=True):
        for name in ("prompts", "positions", "token_ids", "segments", "experts", "weights"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert ours.texts() == theirs.texts()
    rows = np.array([38, 3, 11])
    assert np.array_equal(ours.tokens(rows, "prompt").token_ids, theirs.tokens(rows, "prompt").token_ids)
    with pytest.raises(TraceError, match="is one of 3 traces: `moexray merge` writes one file"):
        ours.to_pandas()


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("shards", "limits"),
    [
        pytest.param(True, FEW, id="shards, streamed"),
        pytest.param(False, LIMITS, id="captures, in memory"),
        pytest.param(True, LIMITS, id="shards, in memory", marks=pytest.mark.nightly),
        pytest.param(False, FEW, id="captures, streamed", marks=pytest.mark.nightly),
    ],
)
def test_an_analysis_of_several_files_is_that_of_the_merged_file(tmp_path: Path, shards: bool, limits: Limits) -> None:
    """To the last byte, streamed or not, with the traces, and for shards in whatever order."""
    files = captured(tmp_path, shards=shards)
    merged = Signatures.open(merge_files(files, tmp_path / "merged.npz").files[0])
    settings: dict[str, Any] = {"permutations": 50, "limits": limits}
    analyze(merged, trace=Trace.open(tmp_path / "merged.trace.parquet", merged), **settings).save(tmp_path / "one.json")
    parts, traces = opened([files[2], files[0], files[1]] if shards else files)
    analyze(parts, trace=traces, **settings).save(tmp_path / "several.json")
    assert (tmp_path / "several.json").read_bytes() == (tmp_path / "one.json").read_bytes()


@pytest.mark.slow
def test_an_analysis_of_captures_in_memory_is_that_of_the_merged_file(tmp_path: Path) -> None:
    files = captured(tmp_path, shards=False)
    merged = Signatures.open(merge_files(files, tmp_path / "merged.npz").files[0])
    settings: dict[str, Any] = {"permutations": 20}
    in_memory = [Signatures.load(file) for file in files]
    analyze(in_memory, **settings).save(tmp_path / "loaded.json")
    analyze(merged, **settings).save(tmp_path / "one.json")
    assert (tmp_path / "loaded.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def test_one_file_is_read_as_it_is(tmp_path: Path) -> None:
    made.signatures(4).save(tmp_path / "a.npz")
    found = Signatures.open(tmp_path / "a.npz")
    assert view_of([found]) is found


def saved(folder: Path, name: str, **options: Any) -> Signatures:
    made.signatures(6, **options).save(folder / name)
    return Signatures.open(folder / name)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({}, r"a\.npz and .*b\.npz both hold prompt 'p0': ids must be unique"),
        (
            {"meta": {"model": "another"}},
            r"signatures differ in model: 'made-up' and 'another' \(.*a\.npz and .*b\.npz\)",
        ),
        ({"experts": 9}, r"signatures differ in experts.*\(.*a\.npz and .*b\.npz\)"),
        ({"layers": (1, 2)}, r"signatures differ in layers.*\(.*a\.npz and .*b\.npz\)"),
    ],
)
def test_files_that_do_not_go_together_are_refused_by_name(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    first, second = saved(tmp_path, "a.npz"), saved(tmp_path, "b.npz", **other)
    with pytest.raises(SignaturesError, match=told):
        analyze([first, second])


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    files = captured(tmp_path, shards=True)
    with pytest.raises(SignaturesError, match=r"shard 1 of 3 \(counted from 0\) is missing"):
        moexray.analyze([Signatures.open(files[0]), Signatures.open(files[2])])
    with pytest.raises(SignaturesError, match="nothing to merge"):
        analyze([])


def test_a_damaged_part_is_named_when_it_is_read(tmp_path: Path) -> None:
    first = saved(tmp_path, "a.npz")
    second = made.signatures(6, seed=1, ids=[f"q{i}" for i in range(6)])
    wrong = np.array(second.counts)
    wrong[2, 0, 0] = 1
    object.__setattr__(second, "_counts", counts.Counts(wrong, None))
    object.__setattr__(second, "_is_checked", True)
    second.save(tmp_path / "b.npz")
    with pytest.raises(SignaturesError, match=r"b\.npz: prompt 'q2', prompt tokens, layer 1"):
        analyze([first, Signatures.open(tmp_path / "b.npz")])


def test_traces_must_be_one_for_each_file(tmp_path: Path) -> None:
    files = captured(tmp_path, shards=False)
    parts, traces = opened(files)
    with pytest.raises(TraceError, match="there are 2 traces of 3 files of signatures: name one trace for each file"):
        analyze(parts, trace=traces[:2])
    with pytest.raises(TraceError, match="there is 1 trace of 3 files of signatures: name one trace for each file"):
        analyze(parts, trace=traces[0])
    with pytest.raises(TraceError, match="2 traces go with as many files of signatures, not with one"):
        analyze(parts[0], trace=traces[:2])


def test_mass_is_there_where_all_parts_have_it(tmp_path: Path) -> None:
    first = saved(tmp_path, "a.npz", mass=True)
    second = saved(tmp_path, "b.npz", ids=[f"q{i}" for i in range(6)])
    view = view_of([first, second])
    assert not view.has_mass
    with pytest.raises((SignaturesError, AnalysisError), match="no gate mass"):
        analyze([first, second], weighting="mass")


def test_memory_is_that_of_blocks_not_of_prompts(tmp_path: Path) -> None:
    """Eight files of which a pass holds a few blocks."""
    options: dict[str, Any] = {"layers": range(4), "experts": 256, "top_k": 8, "length": (2, 4)}
    made.signatures(200, **options).save(tmp_path / "0.npz")
    first = Signatures.load(tmp_path / "0.npz")
    parts = []
    for i in range(8):
        first.replace(ids=tuple(f"{i}-{j}" for j in range(200))).save(tmp_path / f"{i}.npz")
        parts.append(Signatures.open(tmp_path / f"{i}.npz"))
    view = view_of(parts)
    tracemalloc.start()
    total = sum(int(block.counts.sum(dtype=int)) for block in view.blocks(32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == int(view.tokens.sum(dtype=int)) * 4 * 8
    assert peak < int(np.prod(view.shape)) / 4  # one byte a count
