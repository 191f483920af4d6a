"""Capturing on a Ray cluster: workers capture shards of the prompts, and the driver merges them.

A shard that is finished is kept beside the output until all are. So a worker that is killed costs what it had not kept
in its journal, and a driver that is killed costs the shards that were running; the same call goes on.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from moexray.errors import CaptureError, MoexrayError
from moexray.files import check_writable, companion, file_to_write, remove_partials, whole_file
from moexray.formats import listed
from moexray.generation import Generation
from moexray.merging import merge_files
from moexray.prompts import Prompt
from moexray.recording.batches import now
from moexray.recording.capture import DEFAULT_MODEL, capture
from moexray.recording.cluster import Cluster
from moexray.recording.job import Job, output_files, with_trace
from moexray.recording.journal import Journal, journal_of, journal_path
from moexray.recording.progress import OnProgress, Progress
from moexray.recording.recorders import RECORDERS
from moexray.recording.shard_runner import Finished, ShardRunner
from moexray.recording.workers import workers_of
from moexray.shards import Part, Shard, part_of
from moexray.signatures import Signatures
from moexray.version import __version__

# Shards a worker, where nothing is said: a worker that is lost costs less, and one that is slow does less.
_SHARDS_A_WORKER = 4
# Bytes of a file that travel at once.
_CHUNK = 2**25
# Options that may change when a capture goes on: they do not decide what is recorded.
_FREE = frozenset({"batch_tokens", "device", "url", "concurrency", "retry_seconds", "request_seconds"})
# Options of `capture` that stay with the driver.
_OWN = frozenset({"prompts", "out", "shard", "opening", "moment", "on_progress"})


def capture_on_cluster(
    prompts: Sequence[Prompt],
    *,
    cluster: Cluster,
    out: str | Path,
    shards: int | None = None,
    on_progress: OnProgress | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Signatures:
    """Capture prompts with the workers of a Ray cluster; the files are those of `capture`, byte for byte.

    Every worker opens the engine once. A worker that sees the folder of `out` keeps a journal there for each shard;
    another that goes on with it loses nothing. A worker that does not see it sends the files of each shard.

    Parameters
    ----------
    prompts
        What to run.
    cluster
        Where workers run, and what each takes.
    out
        The file of signatures to write. What is finished stays beside it until all is.
    shards
        How many parts the prompts are cut into; by default four for each worker, or as many as an unfinished capture
        has.
    on_progress
        Called with a `moexray.recording.progress.Progress` for each shard that is done.
    on_event
        Called with a sentence on each worker that is lost.
    options
        Those of `moexray.capture`.

    Raises
    ------
    MissingExtra
        If ray is not installed.
    CaptureError
        As `capture`, if there is no such cluster, it has no room for one worker, or a shard ended five of them.
    """
    _check_options(options)
    out = file_to_write(out)
    job = _job(prompts, out, options)
    tell = _Telling(on_progress, str(options.get("model", DEFAULT_MODEL)), len(prompts))
    ledger_name = companion(out, "shards")
    with journal_of(ledger_name) as journal:
        ledger = _Ledger(journal, journal_path(ledger_name), out, job)
        number = ledger.begin(options, shards, cluster)
        with _mark(ledger_name) as (mark, token):
            left = [index for index in range(number) if not ledger.holds(index)]
            tell.running(ledger.totals())
            if left:
                runner = partial(
                    ShardRunner, prompts, {**options, "moment": ledger.moment}, out.absolute(), number, mark, token
                )
                with workers_of(cluster, runner, on_event=on_event) as workers:
                    workers.map(left, partial(_take, ledger, tell), name=lambda index: Shard(index, number).said)
        tell.writing()
        files = [ledger.files(index) for index in range(number)]
        merge_files([one["signatures"] for one in files], out)
        journal.is_over = True
    for one in files:
        for file in one.values():
            file.unlink(missing_ok=True)
    return Signatures.open(out)


def _take(ledger: "_Ledger", tell: "_Telling", index: int, done: Finished, call: Callable[..., Any]) -> None:
    """Fetch the files of a shard that is done, unless they are here, and enter it in the ledger."""
    if not done.is_here:
        for name, size in done.sizes.items():
            with whole_file(ledger.files(index)[name]) as partial_file, partial_file.open("wb") as file:
                while file.tell() < size:
                    file.write(call("read", index, name, file.tell(), min(_CHUNK, size - file.tell())))
        call("forget", index)
    ledger.enter(index, done)
    tell.running(ledger.totals())


@dataclass
class _Ledger:
    """Which shards are finished, beside the output; the lock of its journal keeps a second driver away."""

    journal: Journal
    path: Path
    out: Path
    job: Job
    number: int = 0
    moment: str = ""

    def begin(self, options: Mapping[str, Any], shards: int | None, cluster: Cluster) -> int:
        """Begin, or go on with what is there; return the number of shards."""
        asked = _asked(options, self.job)
        if self.journal.is_new:
            number = shards if shards is not None else _SHARDS_A_WORKER * (cluster.workers or 1)
            if number < 1:
                message = f"`shards` is {number}: a capture has at least 1 shard"
                raise CaptureError(message)
            self._check_new(number)
            self.journal.begin({"asked": asked, "shards": number, "created": now(), "finished": {}}, [])
        else:
            number = self.journal.fact("shards")
            before = {**self.journal.fact("asked"), "shards": number}
            after = {**asked, "shards": number if shards is None else shards}
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            if changed:
                message = (
                    f"{self.path} is of an unfinished capture with other {listed(changed)}: finish it with the same "
                    "inputs, or delete it to begin anew"
                )
                raise CaptureError(message)
        self.number, self.moment = number, self.journal.fact("created")
        return number

    def _check_new(self, number: int) -> None:
        """Refuse to replace shards that something else captured; they would be deleted in the end."""
        for index in range(number):
            file = Shard(index, number).file(self.out)
            if file.exists():
                message = f"{file} is there, of another capture: merge or delete it, or give other `shards`"
                raise CaptureError(message)

    def files(self, index: int) -> dict[str, Path]:
        """Return the files of a shard, by the name of what they hold."""
        return output_files(Shard(index, self.number).file(self.out), self.job.record)

    def holds(self, index: int) -> bool:
        """Whether a shard is finished and its files are still what they were."""
        said = self.journal.fact("finished").get(str(index))
        if said is None:
            return False
        try:
            return bool(said["files"] == self._contents(index))
        except MoexrayError:
            return False

    def enter(self, index: int, done: Finished) -> None:
        """Keep that a shard is finished."""
        finished = self.journal.fact("finished")
        finished[str(index)] = {"files": self._contents(index), "tokens": done.tokens}
        self.journal.set(finished=finished)

    def totals(self) -> tuple[int, int]:
        """Return prompts and tokens of the shards that are finished."""
        finished = self.journal.fact("finished")
        prompts = len(self.job.all_prompts)
        places = [len(Shard(int(index), self.number).places(prompts)) for index in finished]
        return sum(places), sum(one["tokens"] for one in finished.values())

    def _contents(self, index: int) -> dict[str, Any]:
        """Return what tells the files of a shard from others; CaptureError if they are not those of this capture."""
        files = self.files(index)
        signatures = Signatures.open(files["signatures"])
        part = part_of(signatures.meta)
        expected = Part(Shard(index, self.number), len(self.job.all_prompts), self.job.digest)
        if part is None or (part.shard, part.prompts, part.digest) != (
            expected.shard,
            expected.prompts,
            expected.digest,
        ):
            message = f"{files['signatures']} is not {expected.shard.said} of this capture: another program wrote it"
            raise CaptureError(message)
        sizes = {name: file.stat().st_size for name, file in files.items() if file.exists()}
        return {"fingerprint": signatures.fingerprint, "sizes": sizes}


@dataclass
class _Telling:
    """Reports on the whole capture, shard by shard."""

    on_progress: OnProgress | None
    model: str
    total: int

    def running(self, totals: tuple[int, int]) -> None:
        """Report prompts and tokens that are done; the tokens in all are what they will be at this rate."""
        prompts, tokens = totals
        if not prompts:  # for all that is known here, workers load the model
            self._tell(Progress("loading", self.model, 0, self.total))
            return
        self._tell(Progress("running", self.model, prompts, self.total, tokens, tokens * self.total // prompts))

    def writing(self) -> None:
        """Report that the shards are merged."""
        self._tell(Progress("writing", self.model, self.total, self.total))

    def _tell(self, progress: Progress) -> None:
        if self.on_progress is not None:
            self.on_progress(progress)


@contextmanager
def _mark(ledger: Path) -> Iterator[tuple[Path, str]]:
    """Yield a file beside the output and what it holds, by which a worker sees whether it shares the folder."""
    remove_partials(ledger)
    mark = ledger.absolute().with_name(f".{ledger.stem}.{os.getpid()}.partial{ledger.suffix}")
    token = uuid.uuid4().hex
    try:
        mark.write_text(token)
        yield mark, token
    finally:
        mark.unlink(missing_ok=True)


def _check_options(options: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that `capture` does not take."""
    known = set(signature(capture).parameters) - _OWN
    unknown = sorted(set(options) - known)
    if unknown:
        message = f"capture_on_cluster() takes no {unknown[0]}"
        raise TypeError(message)


def _job(prompts: Sequence[Prompt], out: Path, options: Mapping[str, Any]) -> Job:
    """Check everything that can be checked without an engine."""
    names = ("max_new_tokens", "stop_at_eos", "temperature", "top_p", "seed")
    generation = Generation(**{name: options[name] for name in names if name in options})
    record = options.get("record", ())
    record = record.split(",") if isinstance(record, str) else list(record)
    check_writable(out)
    for file in (companion(out, one.suffix) for name, one in RECORDERS.items() if name not in with_trace(record)):
        if file.exists():
            message = f"{file} stands there and would not be of this capture: delete it, or name another `out`"
            raise CaptureError(message)
    return Job(prompts, generation, out, record, options.get("batch_tokens"), options.get("reproducible", False))


def _asked(options: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Return what decides the result, as JSON values."""
    defaults = {name: one.default for name, one in signature(capture).parameters.items() if name not in _OWN}
    decisive = {name: value for name, value in {**defaults, **options}.items() if name not in _FREE}
    decisive["record"] = sorted(job.record)
    plain: dict[str, Any] = json.loads(json.dumps(decisive, default=str, sort_keys=True))
    return {**plain, "moexray": __version__, "prompts": job.digest}
