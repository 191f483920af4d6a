"""Shards of a capture: each of n processes runs every n-th prompt and writes a file of its own."""

from pathlib import Path
from typing import Any

import pytest

from moexray.errors import AnalysisError, CaptureError, SignaturesError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture, capture_with
from moexray.shards import KEY, Part, Shard, part_of
from moexray.signatures import Signatures
from moexray.studies.experts import describe_experts

from .made_engine import MadeEngine

PROMPTS = [Prompt("abcdefgh"[: 1 + i % 8], "xy"[i % 2], f"p{i}") for i in range(7)]


def test_a_shard_runs_every_nth_prompt_from_its_index(tmp_path: Path) -> None:
    found = capture_with(MadeEngine(), PROMPTS, Generation(1), out=tmp_path / "all.npz", shard=(1, 3))
    assert found.prompts.ids == ("p1", "p4")
    part = part_of(found.meta)
    assert part is not None
    assert (part.shard, part.prompts, part.expected) == (Shard(1, 3), 7, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["all.shard-1-of-3.npz"]


def test_all_shards_together_have_each_prompt_once_and_say_the_same_of_the_whole() -> None:
    found = [capture_with(MadeEngine(), PROMPTS, Generation(1), shard=(i, 3)) for i in range(3)]
    assert sorted(name for one in found for name in one.prompts.ids) == sorted(prompt.id for prompt in PROMPTS)
    assert len({(one.meta[KEY]["prompts"], one.meta[KEY]["digest"]) for one in found}) == 1
    others = capture_with(MadeEngine(), [*PROMPTS[:-1], Prompt("z", "x", "p6")], Generation(1), shard=(0, 3))
    assert others.meta[KEY]["digest"] != found[0].meta[KEY]["digest"]


def test_a_capture_that_is_no_shard_says_nothing_of_shards() -> None:
    assert part_of(capture_with(MadeEngine(), PROMPTS, Generation(1)).meta) is None


@pytest.mark.parametrize("batching", ["own", "tokens", "alone"])
def test_a_shard_without_prompts_writes_whole_files_of_none(tmp_path: Path, batching: str) -> None:
    """An array of more tasks than prompts fails nowhere."""
    engine = MadeEngine(batching)  # type: ignore[arg-type]
    record = ("trace", "coselection", "weights")
    found = capture_with(engine, PROMPTS, Generation(1), out=tmp_path / "all.npz", record=record, shard=(7, 9))
    assert (len(found), found.has_mass, engine.ran) == (0, True, [])
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "all.shard-7-of-9.coselection.npz",
        "all.shard-7-of-9.npz",
        "all.shard-7-of-9.trace.parquet",
    ]


def test_what_is_wrong_with_any_prompt_stops_every_shard() -> None:
    twice = [*PROMPTS, Prompt("b", "x", "p2")]
    for index in range(3):
        with pytest.raises(CaptureError, match="two prompts have the id 'p2'"):
            capture_with(MadeEngine(), twice, Generation(1), shard=(index, 3))


def test_a_prompt_that_the_engine_cannot_run_stops_every_shard(tiny_olmoe_folder: str) -> None:
    for index in range(2):
        with pytest.raises(CaptureError, match="'long'"):
            capture([*PROMPTS, Prompt("a" * 3000, "x", "long")], model=tiny_olmoe_folder, shard=(index, 2))


@pytest.mark.parametrize(
    ("shard", "told"),
    [
        ((8, 8), "`shard` is 8/8, which is not there: shards are counted from 0, so the 8 are 0/8 to 7/8"),
        ((-1, 8), "`shard` is -1/8, which is not there"),
        ((0, 0), "`shard` is 0/0: a capture has at least 1 shard"),
        ((0.5, 2), r"`shard` is 0\.5 of 2: name two whole numbers"),
        (3, "`shard` is 3: name which one, counted from 0, and how many"),
        ((1, 2, 3), r"`shard` is \(1, 2, 3\): name which one, counted from 0, and how many"),
        ("8/8", "`shard` is 8/8, which is not there"),
    ],
)
def test_a_shard_that_is_not_there_is_refused(shard: Any, told: str) -> None:
    with pytest.raises(CaptureError, match=told):
        capture(PROMPTS, model="no/such-model", shard=shard)


@pytest.mark.parametrize("text", ["", "3", "3-8", "a/b", "1/2/3", "-1/4", "1.5/4", "٣/٨"])
def test_a_text_that_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(CaptureError, match=r"`shard` is .*: write which one, counted from 0, and how many"):
        Shard.parse(text)


def test_every_shard_gets_the_same_name_and_writes_another_file() -> None:
    names = {Shard(index, 12).file(Path("runs/all.npz")).name for index in range(12)}
    assert len(names) == 12
    assert Shard.parse("3/12").file(Path("t0.5")).name == "t0.5.shard-3-of-12.npz"
    own = Path("all.shard-3-of-12.npz")
    assert Shard(3, 12).file(own) == own
    with pytest.raises(CaptureError, match="is the name of shard 3 of 12, and this is shard 4 of 12"):
        Shard(4, 12).file(own)


def test_a_stopped_shard_goes_on_with_the_same_prompts_only(tmp_path: Path) -> None:
    settings = {"out": tmp_path / "all.npz", "shard": (0, 2)}
    with pytest.raises(KeyboardInterrupt):
        capture_with(MadeEngine(stop_after=2), PROMPTS, Generation(1), **settings)  # type: ignore[arg-type]
    others = [*PROMPTS[:1], Prompt("z", "x", "other"), *PROMPTS[2:]]  # of another shard
    with pytest.raises(CaptureError, match="an unfinished capture stands beside this output, with other prompts"):
        capture_with(MadeEngine(), others, Generation(1), **settings)  # type: ignore[arg-type]
    engine = MadeEngine()
    found = capture_with(engine, PROMPTS, Generation(1), **settings)  # type: ignore[arg-type]
    assert found.prompts.ids == ("p0", "p2", "p4", "p6")
    assert len(engine.ran[0]) == 2


@pytest.mark.parametrize(
    "said",
    [None, [], {}, {"index": 2, "number": 2}, {"index": True, "number": 2}, {"digest": 3}, {"observed": "ab"}],
)
def test_a_meta_that_says_something_else_of_a_shard_is_refused(said: object) -> None:
    whole = Part(Shard(0, 2), 7, "abc").meta
    assert part_of({KEY: whole}) == Part(Shard(0, 2), 7, "abc")
    damaged = {**whole, **said} if isinstance(said, dict) and said else said
    with pytest.raises(SignaturesError, match="meta says that this is a shard, but not which of what"):
        part_of({KEY: damaged})


def test_the_file_of_a_shard_without_prompts_is_read_again(tmp_path: Path) -> None:
    capture_with(MadeEngine(), PROMPTS, Generation(1), out=tmp_path / "all.npz", shard=(8, 9))
    assert Signatures.load(tmp_path / "all.shard-8-of-9.npz").shape == (0, 2, 2, 5)
    opened = Signatures.open(tmp_path / "all.shard-8-of-9.npz")
    assert opened.take([]).shape == opened.shape
    with pytest.raises(AnalysisError, match="no prompt has any token"):
        describe_experts(opened)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("batch_tokens", [None, 7])
def test_a_shard_without_prompts_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_tokens: int | None
) -> None:
    out, engine = tmp_path / "all.npz", MadeEngine("tokens")
    with monkeypatch.context() as patch:
        patch.setattr("moexray.files.os.fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            capture_with(engine, PROMPTS, Generation(1), out=out, shard=(7, 9))
    assert (tmp_path / "all.shard-7-of-9.npz.journal").exists()
    found = capture_with(engine, PROMPTS, Generation(1), out=out, shard=(7, 9), batch_tokens=batch_tokens)
    assert (len(found), [file.name for file in tmp_path.iterdir()]) == (0, ["all.shard-7-of-9.npz"])


def test_a_moment_that_is_no_time_is_refused_before_a_model_is_loaded() -> None:
    with pytest.raises(CaptureError, match="`moment` is 'yesterday': it must be a time in ISO 8601, such as 20"):
        capture(PROMPTS, model="nowhere", moment="yesterday")
