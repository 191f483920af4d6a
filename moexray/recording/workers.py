"""Workers on a Ray cluster: each runs task after task, and a task whose worker died runs again on another.

These are plain Ray actors. `ray.data` would add tasks of its own that wait for CPUs beside the actors, restarts without
end, and a dependence on pandas and pyarrow; what is mapped here are some dozens of shards, not rows.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from moexray.errors import CaptureError, MoexrayError
from moexray.extras import import_extra
from moexray.recording.cluster import Cluster, first_line, join, room_for
from moexray.version import __version__

# How often a task may end its worker before it is given up.
TRIES = 5
# Seconds after which the driver looks whether anything has happened, and says once that it waits.
_LOOK, _PATIENCE = 1.0, 30.0


@dataclass
class _Work:
    """A task, and how many workers have died of it."""

    task: int
    deaths: int = 0


@dataclass
class Workers:
    """The workers of a cluster; made by `workers_of`.

    Attributes
    ----------
    ray
        The module.
    cluster
        Where they run.
    made
        A reference to the function that makes what a worker is; it is called there. A worker has a method `run(task)`.
    most
        How many there are at most.
    on_event
        Called with a sentence on each worker that died, and where the cluster has no room.
    """

    ray: Any
    cluster: Cluster
    made: Any
    most: int
    on_event: Callable[[str], None]
    _starting: dict[Any, Any] = field(default_factory=dict)  # actors by the reference to their first word
    _idle: list[Any] = field(default_factory=list)
    _running: dict[Any, tuple[Any, _Work]] = field(default_factory=dict)
    _failed_starts: int = 0

    def map(
        self, tasks: Sequence[int], take: Callable[[int, Any, Callable[..., Any]], None], *, name: Callable[[int], str]
    ) -> None:
        """Run every task until `take` has had its result once without an error.

        Parameters
        ----------
        tasks
            What `run` of a worker is given, one at a time.
        take
            Called with a task, what `run` returned, and a function that calls another method of the worker that ran
            it: ``call("read", …)``. If that worker has died by then, the task runs again.
        name
            Returns what a task is called in sentences.

        Raises
        ------
        MoexrayError
            What a worker raises of this kind, as it is: it would fail again.
        CaptureError
            If a task, or the start of workers, has ended `TRIES` of them.
        """
        left = deque(_Work(task) for task in tasks)
        waited = 0.0
        while left or self._running:
            self._start(len(left) + len(self._running))
            while left and self._idle:
                actor, work = self._idle.pop(), left.popleft()
                self._running[actor.call.remote("run", work.task)] = actor, work
            waiting = [*self._starting, *self._running]
            ready, _ = self.ray.wait(waiting, num_returns=1, timeout=_LOOK)
            waited = waited + _LOOK if not ready and not self._running else 0.0
            if _PATIENCE <= waited < _PATIENCE + _LOOK:
                self.on_event(f"no worker is ready yet: {self._room()}")
            for reference in ready:
                if reference in self._starting:
                    self._welcome(reference)
                else:
                    lost = self._taken(reference, take, name)
                    if lost is not None:
                        left.appendleft(lost)

    def close(self) -> None:
        """End all workers."""
        for actor in [*self._starting.values(), *self._idle, *(actor for actor, _ in self._running.values())]:
            self.ray.kill(actor)
        self._starting, self._idle, self._running = {}, [], {}

    def _start(self, wanted: int) -> None:
        there = len(self._starting) + len(self._idle) + len(self._running)
        for _ in range(min(wanted, self.most) - there):
            actor = self.ray.remote(_Actor).options(
                num_cpus=self.cluster.cpus, num_gpus=self.cluster.gpus, max_restarts=0, max_task_retries=0
            )
            started = actor.remote(self.made)
            self._starting[started.open.remote()] = started

    def _welcome(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            version = self._get(reference)
        except _LostError as lost:
            self._failed_starts += 1
            self.ray.kill(actor)
            if self._failed_starts == TRIES:
                message = f"{TRIES} workers in a row ended before they were ready, the last one: {lost}"
                raise CaptureError(message) from lost
            self.on_event(f"a worker ended before it was ready, and another is started: {lost}")
            return
        if version != __version__:
            message = f"a worker has moexray {version}, and this is {__version__}: install the same on all machines"
            raise CaptureError(message)
        self._failed_starts = 0
        self._idle.append(actor)

    def _taken(
        self, reference: Any, take: Callable[[int, Any, Callable[..., Any]], None], name: Callable[[int], str]
    ) -> _Work | None:
        """Hand on a result; return the work if it is to be done again."""
        actor, work = self._running.pop(reference)

        def call(method: str, *arguments: Any) -> Any:
            return self._get(actor.call.remote(method, *arguments))

        try:
            take(work.task, self._get(reference), call)
        except _LostError as lost:
            self.ray.kill(actor)  # one whose engine has died may still be there, and would fail again
            work.deaths += 1
            if work.deaths == TRIES:
                message = (
                    f"{name(work.task)} ended {TRIES} workers, the last one: {lost}; what is finished is kept, and the "
                    "same command goes on"
                )
                raise CaptureError(message) from lost
            self.on_event(f"a worker ended in {name(work.task)}, which runs again: {lost}")
            return work
        self._idle.append(actor)
        return None

    def _get(self, reference: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, MoexrayError):
                raise error.cause from None
            reason = f"{type(error.cause).__name__}: {first_line(error.cause)}"
            raise _LostError(reason) from error
        except errors.RayError as error:
            raise _LostError(first_line(error)) from error

    def _room(self) -> str:
        free = self.ray.available_resources()
        return (
            f"each needs {self.cluster.cpus:g} CPUs and {self.cluster.gpus:g} GPUs, and {free.get('CPU', 0):g} CPUs "
            f"and {free.get('GPU', 0):g} GPUs of the cluster are free"
        )


@contextmanager
def workers_of(
    cluster: Cluster, make: Callable[[], Any], *, on_event: Callable[[str], None] = lambda _: None
) -> Iterator[Workers]:
    """Join a Ray cluster, or start one, and leave it, or end it, afterwards.

    Raises
    ------
    MissingExtra
        If ray is not installed.
    CaptureError
        If there is no such cluster, or none of its machines has what one worker needs.
    """
    # Ray would report its use, and rewrite the devices of workers without GPUs, which it warns of.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = import_extra("ray", extra="ray", purpose="a capture on a cluster")
    was_joined = ray.is_initialized()
    # A thread of Ray's prints on standard output what happens to workers, and nothing turns it off.
    with redirect_stdout(sys.stderr):
        if not was_joined:
            join(ray, cluster)
        try:
            most = room_for(ray, cluster, on_event)
            workers = Workers(ray, cluster, ray.put(make), most, on_event)
            try:
                yield workers
            finally:
                workers.close()
        finally:
            if not was_joined:
                ray.shutdown()


class _Actor:
    """What runs on the cluster: it makes the worker when it is asked to, so that what goes wrong there is told."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def open(self) -> str:
        """Make the worker; return the version of moexray here."""
        self._worker = self._make()
        return __version__

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the worker."""
        return getattr(self._worker, method)(*arguments)


class _LostError(Exception):
    """A worker that has died, or whose engine has."""
