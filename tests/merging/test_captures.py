"""Merging captures of different prompts, with what stands beside them, from files to a file."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from moexray.generation import Generation
from moexray.merging import merge, merge_files
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.trace import Trace
from moexray.trace_file import write_trace
from moexray.trace_sequences import columns_of, sequences_of

from .. import made
from ..recording.made_engine import MadeEngine

RECORD = ("trace", "coselection", "weights")
PROMPTS = [Prompt("abcdefgh"[: 1 + i], "xy"[i % 2], f"p{i}") for i in range(6)]


def test_captures_one_after_the_other_are_the_capture_of_all(tmp_path: Path) -> None:
    for name, some in (("one", PROMPTS[:2]), ("two", PROMPTS[2:]), ("all", PROMPTS)):
        capture_with(MadeEngine(), some, Generation(2), out=tmp_path / f"{name}.npz", record=RECORD)
    merged = merge_files([tmp_path / "one.npz", tmp_path / "two.npz"], tmp_path / "both.npz")
    assert [file.name for file in merged.files] == ["both.npz", "both.trace.parquet", "both.coselection.npz"]
    for suffix in ("trace.parquet", "coselection.npz"):
        assert (tmp_path / f"both.{suffix}").read_bytes() == (tmp_path / f"all.{suffix}").read_bytes()
    both, whole = (Signatures.load(tmp_path / f"{name}.npz") for name in ("both", "all"))
    np.testing.assert_array_equal(both.counts, whole.counts)
    np.testing.assert_array_equal(both.mass, whole.mass)
    assert both.prompts == whole.prompts


def renamed(signatures: Signatures, prefix: str, **changes: Any) -> Signatures:
    return signatures.replace(ids=tuple(f"{prefix}{name}" for name in signatures.prompts.ids), **changes)


def with_mass(signatures: Signatures) -> Signatures:
    return signatures.replace(mass=signatures.counts.astype(np.float32) / 3)


def texts_of(number: int, text: str) -> tuple[str, ...]:
    return tuple(f"{text} {i} é\0" for i in range(number))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one,
        lambda one: one.replace(groups=("g",) * len(one)),
        lambda one: one.replace(texts=texts_of(len(one), "text"), outputs=texts_of(len(one), "")),
        lambda one: one.replace(columns={"source": texts_of(len(one), "s"), "b": texts_of(len(one), "b")}),
        lambda one: one.replace(counts=one.counts.astype(np.uint64)),
        with_mass,
    ],
)
@pytest.mark.parametrize("both", [True, False])
def test_merging_files_writes_what_merging_in_memory_returns(
    tmp_path: Path, change: Callable[[Signatures], Signatures], both: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some prompts at a time, whether both files or one of them has groups, texts, columns or gate mass."""
    monkeypatch.setattr("moexray.merging.signatures._NUMBERS", 1)
    monkeypatch.setattr("moexray.merging.signatures._FEWEST", 3)
    one, two = renamed(made.signatures(8), "one "), renamed(made.signatures(10, seed=1), "two ")
    one, two = change(one), change(two) if both else two
    for place, part in enumerate((one, two)):
        part.save(tmp_path / f"{place}.npz")
    merge_files([tmp_path / "0.npz", tmp_path / "1.npz"], tmp_path / "merged.npz")
    merge([one, two]).save(tmp_path / "in memory.npz")
    assert (tmp_path / "merged.npz").read_bytes() == (tmp_path / "in memory.npz").read_bytes()


def test_further_columns_of_all_files_are_never_in_memory(tmp_path: Path) -> None:
    """Four of half a million characters in each of two files."""
    for place in range(2):
        one = renamed(made.signatures(10, seed=place), f"{place} ")
        one.replace(columns={name: (name * 50_000,) * 10 for name in "abcd"}).save(tmp_path / f"{place}.npz")
    tracemalloc.start()
    try:
        merge_files([tmp_path / "0.npz", tmp_path / "1.npz"], tmp_path / "merged.npz")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    assert Signatures.open(tmp_path / "merged.npz").prompts.columns["b"][13] == "b" * 50_000


def traced(folder: Path, name: str, **options: Any) -> Path:
    """Write made-up signatures whose prompts begin with a name, and their trace without texts and gate weights."""
    found = made.trace(folder / "made.parquet", **options)
    signatures = renamed(found, f"{name} ")
    table = pq.read_table(folder / "made.parquet")
    place = table.schema.get_field_index("prompt")
    names = [f"{name} {prompt}" for prompt in table.column("prompt").to_pylist()]
    pq.write_table(
        table.set_column(place, "prompt", [names]).drop_columns(["token", "gate_weights"]),
        folder / f"{name}.trace.parquet",
    )
    signatures.save(folder / f"{name}.npz")
    return folder / f"{name}.npz"


def tokens_of(signatures: Path) -> RoutedTokens:
    opened = Signatures.load(signatures)
    trace = Trace.open(signatures.with_suffix(".trace.parquet"), opened)
    return RoutedTokens.joined(list(trace.blocks()))


@pytest.mark.parametrize("k", [2, (3, 1, 2)])
def test_traces_without_gate_weights_and_with_layers_of_different_k_are_merged(tmp_path: Path, k: Any) -> None:
    parts = [traced(tmp_path, name, prompts=5, k=k, seed=seed) for seed, name in enumerate(("one", "two"))]
    merge_files(parts, tmp_path / "both.npz")
    both = tokens_of(tmp_path / "both.npz")
    expected = [tokens_of(part) for part in parts]
    for name in ("positions", "token_ids", "segments", "experts"):
        np.testing.assert_array_equal(getattr(both, name), np.concatenate([getattr(one, name) for one in expected]))
    names = pq.read_schema(tmp_path / "both.trace.parquet").names
    assert not {"gate_weights", "token", "scores"} & set(names)


def test_a_column_that_one_trace_lacks_is_left_out(tmp_path: Path) -> None:
    """As texts and outputs of signatures are."""
    for name, some in (("one", PROMPTS[:2]), ("two", PROMPTS[2:])):
        capture_with(MadeEngine(), some, Generation(2), out=tmp_path / f"{name}.npz", record=("trace",))
    table = pq.read_table(tmp_path / "two.trace.parquet")
    pq.write_table(table.drop_columns(["token", "gate_weights"]), tmp_path / "two.trace.parquet")
    merge_files([tmp_path / "one.npz", tmp_path / "two.npz"], tmp_path / "both.npz")
    names = pq.read_schema(tmp_path / "both.trace.parquet").names
    assert names == ["prompt", "position", "token_id", "phase", "kind", "layer", "experts"]


def test_a_prompt_without_tokens_has_a_place_and_no_row(tmp_path: Path) -> None:
    """As imports may have them."""
    found = made.trace(tmp_path / "t.parquet", prompts=4)
    order = [4, 0, 5, 1, 2, 3, 6]
    empty = np.zeros((3, *found.shape[1:]), dtype=found.counts.dtype)
    signatures = found.replace(
        counts=np.concatenate([found.counts, empty])[order],
        tokens=np.concatenate([found.tokens, np.zeros((3, 2), dtype=np.int32)])[order],
        ids=tuple([*found.prompts.ids, "e0", "e1", "e2"][place] for place in order),
        categories=("a",) * 7,
        groups=None,
    )
    trace = Trace.open(tmp_path / "t.parquet", signatures)
    sequences = list(sequences_of(trace, columns_of(trace)))
    assert [len(one.token_ids) for one in sequences] == signatures.tokens.sum(axis=1).tolist()


@pytest.mark.parametrize("rows", [None, 7, 100])
def test_a_trace_written_from_its_own_sequences_has_the_same_bytes(tmp_path: Path, rows: int | None) -> None:
    engine = MadeEngine()
    capture_with(engine, PROMPTS, Generation(3), out=tmp_path / "one.npz", record=("trace",))
    signatures = Signatures.open(tmp_path / "one.npz")
    trace = Trace.open(tmp_path / "one.trace.parquet", signatures)
    columns = columns_of(trace)
    assert columns == {"token", "gate_weights"}
    again = sequences_of(trace, columns, rows=rows)
    write_trace(tmp_path / "again.parquet", again, signatures.prompts.ids, engine.layout, trace.texts().__getitem__)
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "one.trace.parquet").read_bytes()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_merge_that_is_stopped_leaves_nothing_and_what_a_killed_one_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, some in (("one", PROMPTS[:2]), ("two", PROMPTS[2:])):
        capture_with(MadeEngine(), some, Generation(2), out=tmp_path / f"{name}.npz", record=RECORD)
    before = sorted(file.name for file in tmp_path.iterdir())
    (tmp_path / ".both.999999.partial.npz").write_bytes(b"half of a file")
    (tmp_path / ".both.trace.999999.partial.parquet").write_bytes(b"half of a file")
    with monkeypatch.context() as patch:
        patch.setattr("moexray.files.os.fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            merge_files([tmp_path / "one.npz", tmp_path / "two.npz"], tmp_path / "both.npz")
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def test_a_trace_with_router_scores_is_merged_with_them(tmp_path: Path, tiny_olmoe_folder: str) -> None:
    from moexray.recording.capture import capture

    options: dict[str, Any] = {"model": tiny_olmoe_folder, "max_new_tokens": 2, "record": ("scores", "weights")}
    out = tmp_path / "all.npz"
    for index in range(2):
        capture(PROMPTS[:3], out=out, shard=(index, 2), reproducible=True, **options)
    capture(PROMPTS[:3], out=out, reproducible=True, **options)
    merge_files([tmp_path / f"all.shard-{index}-of-2.npz" for index in range(2)], tmp_path / "merged.npz")
    assert (tmp_path / "merged.trace.parquet").read_bytes() == (tmp_path / "all.trace.parquet").read_bytes()
    assert Signatures.open(tmp_path / "merged.npz").meta["router_scores"] == ["probabilities"]
