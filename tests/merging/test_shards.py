"""Merging the shards of a capture gives the capture of all its prompts, byte for byte."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moexray.engines.engine import Engine, open_engine
from moexray.errors import SignaturesError
from moexray.generation import Generation
from moexray.merging import merge, merge_files
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.shards import Shard
from moexray.signatures import Signatures

from ..recording.made_engine import MadeEngine

RECORD = ("trace", "coselection", "weights")
FILES = ["all.coselection.npz", "all.npz", "all.trace.parquet"]


@pytest.fixture(autouse=True)
def one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.recording.batches.now", lambda: "2026-03-11T00:00:00+00:00")


def prompts(number: int, *, grouped: bool = False) -> list[Prompt]:
    return [
        Prompt(
            "abcdefgh"[: 1 + i * i % 8] * (1 + i % 3),
            "xyz"[i % 3],
            f"p{i}",
            f"g{i // 2}" if grouped and i % 2 else None,
        )
        for i in range(number)
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def sharded(folder: Path, some: list[Prompt], number: int, batching: Any = "own", **options: Any) -> list[Path]:
    """Capture every shard with an engine of its own, and return their files, the last first."""
    settings = {"out": folder / "all.npz", "record": RECORD, **options}
    for index in range(number):
        capture_with(MadeEngine(batching), some, Generation(2), shard=(index, number), **settings)
    return [Shard(index, number).file(settings["out"]) for index in reversed(range(number))]


def check_shards(root: Path, number: int, some: list[Prompt], batching: Any) -> None:
    """Merge the shards of a made capture and compare with the capture of all prompts at once."""
    for name in ("parts", "merged", "whole"):
        (root / name).mkdir()
    whole = capture_with(MadeEngine(batching), some, Generation(2), out=root / "whole" / "all.npz", record=RECORD)
    parts = sharded(root / "parts", some, number, batching)
    merged = merge_files(parts, root / "merged" / "all.npz")
    assert contents(root / "merged") == contents(root / "whole")
    assert (sorted(file.name for file in merged.files), merged.notes) == (FILES, ())
    in_memory = merge([Signatures.open(part) for part in parts])
    assert in_memory.fingerprint == whole.fingerprint


@pytest.mark.parametrize(("number", "length"), [(1, 5), (2, 5), (7, 5)])
def test_the_shards_of_a_made_capture_are_the_whole(tmp_path: Path, number: int, length: int) -> None:
    """Also where there are more shards than prompts."""
    check_shards(tmp_path, number, prompts(length, grouped=number == 2), "own")


def test_more_shards_than_files_may_be_open_are_merged_or_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    parts = sharded(tmp_path, prompts(2), 3)
    with monkeypatch.context() as patch:
        patch.setattr("resource.getrlimit", lambda _: (100, 200))
        with pytest.raises(SignaturesError, match=r"3 shards are read from 265 files .* 200: .*`ulimit -n 265`"):
            merge_files(parts, tmp_path / "merged.npz")
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limit[1]))
    try:
        merge_files(parts, tmp_path / "merged.npz")
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200, limit[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.nightly
@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(1, 12),
    length=st.integers(1, 20),
    grouped=st.booleans(),
    batching=st.sampled_from(["own", "alone", "tokens"]),
)
def test_any_number_of_shards_of_any_number_of_prompts_is_the_whole(
    tmp_path_factory: pytest.TempPathFactory, number: int, length: int, grouped: bool, batching: Any
) -> None:
    check_shards(tmp_path_factory.mktemp("shards"), number, prompts(length, grouped=grouped), batching)


@pytest.fixture(scope="module")
def scale() -> Iterator[Engine]:
    with open_engine("transformers", "scale") as engine:
        yield engine


WORDS = [Prompt("one more word " * (1 + i % 2), "xy"[i % 2], f"p{i}") for i in range(7)]


@pytest.mark.slow
def test_one_two_and_seven_shards_of_a_model_are_the_whole(tmp_path: Path, scale: Engine) -> None:
    """The embedded model, every prompt alone: what is recorded of it then depends on no other, in any bit."""
    settings: dict[str, Any] = {"generation": Generation(2), "record": RECORD, "reproducible": True}
    (tmp_path / "whole").mkdir()
    capture_with(scale, WORDS, out=tmp_path / "whole" / "all.npz", **settings)
    for number in (1, 2, 7):
        (tmp_path / str(number)).mkdir()
        out = tmp_path / f"parts of {number}.npz"
        for index in range(number):
            capture_with(scale, WORDS, out=out, shard=(index, number), **settings)
        merge_files([Shard(index, number).file(out) for index in range(number)], tmp_path / str(number) / "all.npz")
        assert contents(tmp_path / str(number)) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_in_batches_of_other_prompts_shards_select_the_same_experts(scale: Engine) -> None:
    """In float32; the sizes of batches that were planned are all in the meta."""
    whole = capture_with(scale, WORDS, Generation(2), batch_tokens=400)
    parts = [capture_with(scale, WORDS, Generation(2), shard=(i, 2), batch_tokens=(400, 40)[i]) for i in range(2)]
    merged = merge(parts)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert merged.prompts == whole.prompts
    assert merged.meta == {**whole.meta, "batch_tokens": [400, 40]}
