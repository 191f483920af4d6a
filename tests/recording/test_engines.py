"""A capture keeps to what its engine declares: how prompts run together, and what it can give."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.engines.engine import Batching
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt, PromptImage
from moexray.recording.capture import capture_with
from moexray.recording.journal import journal_of
from moexray.recording.progress import Progress
from moexray.recording.scoring import score, write

from .made_engine import MadeEngine

PROMPTS = [Prompt("abcdefgh"[: 1 + i % 8], "ab"[i % 2], f"p{i}") for i in range(20)]
RECORD = ("trace", "weights", "coselection")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.recording.batches.now", lambda: "2026-03-11T00:00:00+00:00")


def test_an_engine_with_its_own_batching_gets_all_prompts_at_once() -> None:
    own, alone, planned = (MadeEngine(batching) for batching in ("own", "alone", "tokens"))
    for engine in (own, alone):
        capture_with(engine, PROMPTS, Generation(3))
    capture_with(planned, PROMPTS, Generation(3), batch_tokens=22)
    assert own.ran == [[prompt.id for prompt in PROMPTS]]
    assert all(len(batch) == 1 for batch in alone.ran)
    assert max(map(len, planned.ran)) > 1
    assert sorted(name for batch in planned.ran for name in batch) == sorted(prompt.id for prompt in PROMPTS)


def test_prompts_that_an_engine_keeps_apart_do_not_share_a_batch() -> None:
    class KeepsApart(MadeEngine):
        """Lets prompts of three letters at most share a batch."""

        def groups(self, lengths: NDArray[np.integer], generation: Generation) -> NDArray[np.integer]:
            assert generation == Generation(3)
            return np.where(lengths > 3, -1, 0)

    engine = KeepsApart("tokens")
    capture_with(engine, PROMPTS, Generation(3), batch_tokens=10**6)
    length = {prompt.id: len(prompt.text) for prompt in PROMPTS}
    assert [len(batch) for batch in engine.ran if max(length[name] for name in batch) > 3] == [1] * sum(
        number > 3 for number in length.values()
    )
    assert max(map(len, engine.ran)) > 1


@pytest.mark.parametrize("batching", ["own", "alone", "tokens"])
def test_what_is_recorded_does_not_depend_on_who_batches(batching: Batching) -> None:
    """Nor on the order in which prompts are done: it is that of the prompts."""
    found = capture_with(MadeEngine(batching), PROMPTS, Generation(3), record=["weights"])
    assert found.prompts.ids == tuple(prompt.id for prompt in PROMPTS)
    assert found.lengths("prompt").tolist() == [len(prompt.text) for prompt in PROMPTS]
    assert found.lengths("generated").tolist() == [0 if prompt.text.endswith("h") else 2 for prompt in PROMPTS]
    for row, prompt in enumerate(PROMPTS):
        first = np.bincount([ord(letter) % 5 for letter in prompt.text], minlength=5)
        np.testing.assert_array_equal(found.counts[row, 0, 0], first + np.roll(first, 1))
    np.testing.assert_allclose(found.mass, found.counts * 0.5)


@pytest.mark.usefixtures("at_one_time")
def test_what_an_engine_has_yielded_is_kept_when_it_is_interrupted(tmp_path: Path) -> None:
    for folder in ("whole", "resumed"):
        (tmp_path / folder).mkdir()
    capture_with(MadeEngine(), PROMPTS, Generation(3), out=tmp_path / "whole" / "s.npz", record=RECORD)
    out, stopped, going_on = tmp_path / "resumed" / "s.npz", MadeEngine(stop_after=7), MadeEngine()
    with pytest.raises(KeyboardInterrupt):
        capture_with(stopped, PROMPTS, Generation(3), out=out, record=RECORD)
    capture_with(going_on, PROMPTS, Generation(3), out=out, record=RECORD)
    assert len(going_on.ran[0]) == len(PROMPTS) - 7
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


def test_it_is_kept_while_the_engine_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds, here none; a process that is killed between has the rest to do again."""
    monkeypatch.setattr("moexray.recording.batches._SECONDS", 0)
    told: list[Progress] = []
    capture_with(MadeEngine(), PROMPTS, Generation(1), out=tmp_path / "s.npz", on_progress=told.append)
    assert sorted({report.prompts for report in told}) == list(range(len(PROMPTS) + 1))


def test_a_planned_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """What is left of it would run in another shape, which rounds differently."""
    with pytest.raises(KeyboardInterrupt):
        capture_with(
            MadeEngine("tokens", stop_after=7), PROMPTS, Generation(1), out=tmp_path / "s.npz", batch_tokens=36
        )
    with journal_of(tmp_path / "s.npz") as journal:
        assert journal.fact("done")["prompts"] == 4
        assert all(len(batch) > 1 for batch in journal.all_pending()[:-1])


def test_a_name_that_is_given_twice_is_the_same_capture(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        capture_with(MadeEngine(stop_after=7), PROMPTS, out=tmp_path / "s.npz", record="trace")
    assert len(capture_with(MadeEngine(), PROMPTS, out=tmp_path / "s.npz", record="trace,trace")) == len(PROMPTS)


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (lambda out: capture_with(MadeEngine(), PROMPTS, out=out, batch_tokens=9), "engine made decides what runs tog"),
        (
            lambda out: capture_with(MadeEngine(capabilities=()), PROMPTS, out=out, record=["weights"]),
            "engine made does not offer weights for this model: it offers none",
        ),
        (lambda out: capture_with(MadeEngine(), PROMPTS, out=out, verify=True), "engine made does not offer verify"),
    ],
)
def test_what_an_engine_does_not_do_is_refused_before_it_runs(
    tmp_path: Path, run: Callable[[Path], None], problem: str
) -> None:
    with pytest.raises(CaptureError, match=problem):
        run(tmp_path / "s.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_expert_that_a_layer_does_not_have_is_refused() -> None:
    """It would be counted as one of the next layer."""
    engine = MadeEngine()
    engine.layout = type(engine.layout)(layers=(0, 1), experts=(4, 4), top_k=(2, 2))
    with pytest.raises(ModelError, match=r"layer 1 has 4 experts, but expert 4 was selected"):
        capture_with(engine, PROMPTS)


def test_an_engine_that_takes_no_outputs_refuses_prompts_that_come_with_them() -> None:
    """It would write others in their place."""
    with pytest.raises(CaptureError, match="engine made does not offer outputs for this model: it offers weights"):
        capture_with(MadeEngine(), [Prompt("abc", "c", "p", output="d")])


def test_an_engine_that_shows_no_images_refuses_prompts_that_have_some() -> None:
    """In whatever shard they are, since all of a capture's shards have the same segments."""
    image = PromptImage("a.png", "0" * 64, 6, 4, data=b"x")
    prompts = [Prompt("abc", "c", "p"), Prompt("abc", "c", "q", images=(image,))]
    with pytest.raises(CaptureError, match="engine made shows this model no images, and prompt 'q' has one"):
        capture_with(MadeEngine(), prompts, shard=(0, 2))
    for run in (score, partial(write, generation=Generation(1))):
        with pytest.raises(CaptureError, match="and prompt 'q' has one"):
            next(iter(run(MadeEngine(), prompts)))
