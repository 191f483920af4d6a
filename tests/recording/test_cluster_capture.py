"""Captures on a Ray cluster: what one process would write, byte for byte, whoever is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moexray.errors import CaptureError
from moexray.prompts import Prompt
from moexray.recording import cluster_capture
from moexray.recording.capture import capture_with
from moexray.recording.cluster import Cluster
from moexray.recording.cluster_capture import capture_on_cluster
from moexray.signatures import Signatures

from .dying_engine import DyingEngine

pytest.importorskip("ray", reason="needs Ray: pip install -e '.[test,ray]' and pytest -m ray tests/recording")
# Older releases of Ray leave /dev/null open.
unraised = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
pytestmark = [unraised, pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]
MOMENT = "2026-03-11T00:00:00+00:00"
PROMPTS = [Prompt("abcdefgh"[: 1 + i % 8], "xy"[i % 2], f"p{i}", group=f"g{i // 2}") for i in range(22)]
RECORD = ("trace", "coselection", "weights")
SHARDS = 5
TWO = Cluster("local", workers=2, cpus=0.5)
TIMES = [0, *(pytest.param(i, marks=pytest.mark.nightly) for i in range(1, 10))]


@pytest.fixture(autouse=True)
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.recording.cluster_capture.now", lambda: MOMENT)
    monkeypatch.setattr("moexray.recording.batches.now", lambda: MOMENT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files that one process writes, by name."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "out").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moexray.recording.batches.now", lambda: MOMENT)
        from moexray.generation import Generation

        capture_with(DyingEngine(folder), PROMPTS, Generation(2), out=folder / "out" / "all.npz", record=RECORD)
    return contents(folder / "out")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path / "model"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def run(model: Path, **options: Any) -> Signatures:
    settings = {"engine": "dying", "model": str(model), "max_new_tokens": 2, "record": RECORD, "shards": SHARDS}
    return capture_on_cluster(PROMPTS, cluster=TWO, out=model.parent / "out" / "all.npz", **{**settings, **options})


def ran(model: Path) -> Counter[str]:
    """How often each prompt was run."""
    return Counter(line.split()[0] for line in (model / "log").read_text().splitlines())


NIGHTLY = pytest.mark.nightly
ONE, OWN = "one folder", "folders of their own"
ONE_FIRST = pytest.mark.parametrize("folders", [ONE, pytest.param(OWN, marks=NIGHTLY)], indirect=True)
OWN_FIRST = pytest.mark.parametrize("folders", [pytest.param(ONE, marks=NIGHTLY), OWN], indirect=True)


@pytest.fixture
def folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let workers share the folder of the driver, or see no mark of it, as on another machine."""

    @contextmanager
    def unseen(ledger: Path) -> Iterator[tuple[Path, str]]:
        yield ledger.with_name("not-there"), "token"

    if request.param != ONE:
        monkeypatch.setattr(cluster_capture, "_mark", unseen)
    return str(request.param)


@ONE_FIRST
def test_two_workers_write_what_one_process_writes(model: Path, whole: dict[str, bytes], folders: str) -> None:
    reports: list[Any] = []
    found = run(model, on_progress=reports.append)
    assert contents(model.parent / "out") == whole
    assert found.prompts.ids == tuple(prompt.id for prompt in PROMPTS)
    assert set(ran(model).values()) == {1}
    assert len((model / "opened").read_text().split()) == 2  # each worker opened the engine once
    assert (reports[-1].stage, reports[-2].prompts) == ("writing", len(PROMPTS))


@ONE_FIRST
@pytest.mark.parametrize("time_", TIMES)
def test_a_worker_that_is_killed_costs_nothing_but_time(
    model: Path, whole: dict[str, bytes], folders: str, time_: int
) -> None:
    dies_at = f"p{2 * time_ + 1}"
    (model / "dies-at").write_text(dies_at)
    told: list[str] = []
    run(model, on_event=told.append)
    assert contents(model.parent / "out") == whole
    assert (model / "died").exists()
    assert len(told) == 1
    assert told[0].startswith(f"a worker ended in shard {(2 * time_ + 1) % SHARDS} of {SHARDS}")
    assert set(ran(model)) == {prompt.id for prompt in PROMPTS}
    if folders == ONE:  # its journal goes on
        assert set(ran(model).values()) == {1}


@OWN_FIRST
@pytest.mark.parametrize("time_", TIMES)
def test_a_worker_killed_after_it_has_finished_a_shard_and_before_that_is_fetched(
    model: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, folders: str, time_: int
) -> None:
    take = cluster_capture._take
    killed: list[int] = []

    def kill_and_take(ledger: Any, tell: Any, index: int, done: Any, call: Callable[..., Any]) -> None:
        if index == time_ % SHARDS and not killed:
            killed.append(worker_of(model, f"p{index}"))
            os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.3)
        take(ledger, tell, index, done, call)

    monkeypatch.setattr(cluster_capture, "_take", kill_and_take)
    run(model)
    assert contents(model.parent / "out") == whole
    assert len(killed) == 1
    again = {prompt.id for prompt in PROMPTS[time_ % SHARDS :: SHARDS]} if folders != ONE else set()
    assert ran(model) == Counter({prompt.id: 1 + (prompt.id in again) for prompt in PROMPTS})


def worker_of(model: Path, prompt: str) -> int:
    lines = [line.split() for line in (model / "log").read_text().splitlines()]
    return int(next(process for name, process in reversed(lines) if name == prompt))


@pytest.mark.nightly
@pytest.mark.parametrize("done", [0, 1, 3])
def test_a_killed_driver_goes_on_with_what_is_finished(
    model: Path, whole: dict[str, bytes], engines_folder: Path, done: int
) -> None:
    """Killed when a prompt has run, or so many shards are finished."""
    program = "\n".join(
        [
            f"import sys; sys.path[:0] = {sys.path!r}",
            f"from {__name__} import drive",
            f"drive({str(model)!r})",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(engines_folder), *sys.path])}
    driver = subprocess.Popen([sys.executable, "-c", program], env=environment)
    ledger = model.parent / "out"
    while driver.poll() is None and not (
        (model / "log").exists() and len(list(ledger.glob("all.shard-*-of-5.npz"))) >= done
    ):
        time.sleep(0.01)
    assert driver.poll() is None
    driver.kill()
    driver.wait()
    workers = {int(process) for process in (model / "opened").read_text().split()}
    finished = [int(file.name.split("-")[1]) for file in ledger.glob("all.shard-*-of-5.npz")]
    assert done <= len(finished) < SHARDS
    run(model)
    assert contents(ledger) == whole
    again = {int(name[1:]) % SHARDS for name, times in ran(model).items() if times > 1}
    assert len(again) <= 2  # the shards that the two workers were at; the driver had taken the others
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{process}").exists() for process in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{process}").exists() for process in workers)


def drive(model: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moexray.recording.cluster_capture.now", lambda: MOMENT)
        run(Path(model))


@pytest.mark.nightly
def test_another_capture_is_not_mixed_with_finished_shards(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster_capture, "_take", stop)
    with pytest.raises(KeyboardInterrupt):
        run(model)
    monkeypatch.undo()
    with pytest.raises(CaptureError, match="of an unfinished capture with other max_new_tokens: finish it"):
        run(model, max_new_tokens=3)
    with pytest.raises(CaptureError, match="of an unfinished capture with other shards: finish it"):
        run(model, shards=4)
    found = run(model, shards=None)
    assert len(found) == len(PROMPTS)


def test_what_cannot_be_run_is_refused_before_a_worker_starts(model: Path) -> None:
    with pytest.raises(CaptureError, match="`shards` is 0"):
        run(model, shards=0)
    with pytest.raises(TypeError, match="takes no nonsense"):
        run(model, nonsense=1)
    assert not list((model.parent / "out").iterdir())


def test_what_another_capture_wrote_is_neither_replaced_nor_left_beside_this_one(model: Path) -> None:
    out = model.parent / "out"
    (out / "all.shard-3-of-5.npz").touch()
    with pytest.raises(CaptureError, match=r"all\.shard-3-of-5\.npz is there, of another capture: merge or delete it"):
        run(model)
    (out / "all.shard-3-of-5.npz").unlink()
    (out / "all.trace.parquet").touch()
    with pytest.raises(CaptureError, match=r"all\.trace\.parquet stands there and would not be of this capture"):
        run(model, record=("weights",))


@pytest.mark.nightly
def test_two_workers_of_one_thread_capture_the_embedded_model_as_one_process_does(tmp_path: Path) -> None:
    from moexray.prompts import bundled_prompts
    from moexray.recording.capture import capture

    prompts = bundled_prompts()[::4]
    options: dict[str, Any] = {"model": "scale", "max_new_tokens": 3, "reproducible": True, "record": RECORD}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    capture(prompts, out=tmp_path / "one" / "all.npz", moment=MOMENT, **options)
    capture_on_cluster(prompts, cluster=TWO, out=tmp_path / "two" / "all.npz", shards=4, **options)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_an_engine_that_there_is_not_is_refused_by_name(model: Path) -> None:
    with pytest.raises(CaptureError, match="no engine 'none': there are"):
        run(model, engine="none")
