"""Workers on a Ray cluster: what a worker that is killed was at is done again, and counted once."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from moexray.errors import CaptureError, PromptsError
from moexray.recording.cluster import Cluster
from moexray.recording.workers import TRIES, workers_of

pytest.importorskip("ray", reason="needs Ray: pip install -e '.[test,ray]' and pytest -m ray tests/recording")
# Older releases of Ray leave /dev/null open.
unraised = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
pytestmark = [unraised, pytest.mark.ray, pytest.mark.slow]
TASKS, ROWS = 8, 5
TWO = Cluster("local", workers=2, cpus=0.5)


@dataclass
class Rows:
    """Gives rows of a task; logs those that it has given. Dies once at a moment of a task, where it is told."""

    folder: Path
    dies_at: int | None = None
    moment: str = "running"

    def run(self, task: int) -> tuple[int, int]:
        time.sleep(0.05)
        marker = self.folder / "killed"
        if task == self.dies_at and not marker.exists():
            marker.touch()
            if self.moment == "running":
                kill()
            threading.Timer(0.3, kill).start()  # the result is stored by then
        elif task == self.dies_at:
            (self.folder / "again").touch()
        with (self.folder / "log").open("a") as log:
            log.write(f"{task}\n")
        return task * ROWS, os.getpid()

    def read(self, start: int) -> list[int]:
        return list(range(start, start + ROWS))


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def named(task: int) -> str:
    return f"task {task}"


def rows_of(make: Callable[[], Any], *, wait: float = 0.0, told: list[str] | None = None) -> dict[int, list[int]]:
    """Run all tasks, and read their rows from the workers `wait` seconds after each is done."""
    found: dict[int, list[int]] = {}

    def take(task: int, result: tuple[int, int], call: Callable[..., Any]) -> None:
        time.sleep(wait)
        found.setdefault(task, []).extend(call("read", result[0]))

    with workers_of(TWO, make, on_event=(told if told is not None else []).append) as workers:
        workers.map(range(TASKS), take, name=named)
    return found


EVERY = {task: list(range(task * ROWS, task * ROWS + ROWS)) for task in range(TASKS)}
TIMES = [0, *(pytest.param(i, marks=pytest.mark.nightly) for i in range(1, 10))]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("time_", TIMES)
def test_a_task_whose_worker_was_killed_runs_again_and_no_other_does(tmp_path: Path, time_: int) -> None:
    told: list[str] = []
    assert rows_of(partial(Rows, tmp_path, dies_at=time_ % TASKS), told=told) == EVERY
    assert sorted((tmp_path / "log").read_text().split()) == sorted(map(str, range(TASKS)))
    assert (tmp_path / "again").exists()
    assert any(f"a worker ended in task {time_ % TASKS}" in one for one in told)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("time_", TIMES)
def test_a_worker_killed_after_its_result_and_before_it_is_read_gives_each_row_once(tmp_path: Path, time_: int) -> None:
    assert rows_of(partial(Rows, tmp_path, dies_at=time_ % TASKS, moment="done"), wait=0.4) == EVERY
    log = (tmp_path / "log").read_text().split()
    assert sorted(log) == sorted([*map(str, range(TASKS)), str(time_ % TASKS)])


@dataclass
class Broken:
    """Raises what it is told to, in `run` or when it is made."""

    error: Exception
    at_once: bool = False

    def __post_init__(self) -> None:
        if self.at_once:
            raise self.error

    def run(self, task: int) -> int:
        raise self.error


def run_broken(worker: Callable[[], Any], told: list[str] | None = None) -> None:
    with workers_of(Cluster("local", cpus=0.5), worker, on_event=(told if told is not None else []).append) as workers:
        workers.map([0], lambda *_: None, name=named)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("at_once", [False, True])
def test_what_a_user_can_cure_is_told_as_it_is_and_not_tried_again(*, at_once: bool) -> None:
    told: list[str] = []
    with pytest.raises(PromptsError, match=r"^mend the prompts$"):
        run_broken(partial(Broken, PromptsError("mend the prompts"), at_once=at_once), told)
    assert told == []


@pytest.mark.nightly
@pytest.mark.usefixtures("cluster")
def test_an_engine_that_dies_takes_its_worker_down_and_a_task_is_given_up_in_the_end() -> None:
    told: list[str] = []
    with pytest.raises(CaptureError, match=rf"task 0 ended {TRIES} workers, .*: RuntimeError: engine is dead"):
        run_broken(partial(Broken, RuntimeError("engine is dead")), told)
    assert told == ["a worker ended in task 0, which runs again: RuntimeError: engine is dead"] * (TRIES - 1)


@pytest.mark.nightly
@pytest.mark.usefixtures("cluster")
def test_workers_that_never_become_ready_are_given_up() -> None:
    with pytest.raises(CaptureError, match=rf"{TRIES} workers in a row ended before they were ready.*no memory"):
        run_broken(partial(Broken, RuntimeError("no memory"), at_once=True))


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("needs", [{"cpus": 1000.0}, {"gpus": 1.0}])
def test_workers_that_no_machine_has_room_for_are_refused_at_once(needs: dict[str, Any]) -> None:
    with pytest.raises(CaptureError, match=r"a worker needs .*, and no machine of the cluster has that"):  # noqa: SIM117
        with workers_of(Cluster("local", **needs), dict):
            pass


@pytest.mark.nightly
@pytest.mark.usefixtures("cluster")
def test_fewer_workers_than_asked_for_run_all_tasks_where_no_more_fit(tmp_path: Path) -> None:
    told: list[str] = []
    cpus = float(os.cpu_count() or 1)
    with workers_of(Cluster("local", workers=3, cpus=cpus), partial(Rows, tmp_path), on_event=told.append) as workers:
        done: list[int] = []
        workers.map(range(3), lambda task, *_: done.append(task), name=named)
    assert sorted(done) == [0, 1, 2]
    assert told == ["only 1 of 3 workers fit the cluster at once: they run all shards"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"address": " "}, "`ray` is empty"),
        ({"workers": 0}, "`workers` is 0"),
        ({"cpus": -1.0}, r"`worker_cpus` is -1\.0"),
        ({"cpus": float("nan")}, "`worker_cpus` is nan"),
        ({"gpus": 1.5}, r"`worker_gpus` is 1\.5: above 1 it must be a whole number"),
    ],
)
def test_workers_that_cannot_be_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(CaptureError, match=told):
        Cluster(**{"address": "local", **given})
