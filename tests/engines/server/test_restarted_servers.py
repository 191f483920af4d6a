"""A server that dies and comes back: nothing is lost, nothing is twice, and another one is not taken for it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from moexray.engines.server.address import address_of
from moexray.engines.server.engine import ServerEngine
from moexray.engines.server.limits import Limits
from moexray.engines.serving.model import ServedModel
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.recording.journal import journal_path
from moexray.recording.progress import Progress
from moexray.signatures import Signatures
from tests.engines.server import fake_server
from tests.engines.server.fake_server import MODEL, FakeServer, Handler

PROMPTS = [Prompt("abcdefghijklmnop"[i % 7 : 7 + i % 9] * (1 + i % 3), "ab"[i % 2], f"p{i}") for i in range(60)]


class Process:
    """A fake server in a process of its own, which can be killed and started again at the same port."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, fake_server.__file__, "vllm", str(self.port), "0.02"]
        environment = {**os.environ, "PYTHONPATH": str(Path(fake_server.__file__).parents[3])}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == self.url

    def kill(self) -> None:
        """Kill it, with what it is answering."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
            self.process = None


@pytest.fixture
def process() -> Iterator[Process]:
    """Return a server in a process of its own."""
    found = Process()
    yield found
    found.kill()


@pytest.fixture
def captured(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Signatures]:
    """Return a function that captures from a server, at a time that is always the same."""
    monkeypatch.setattr("moexray.engines.server.engine.read_served_model", lambda *_, **__: served)
    monkeypatch.setattr("moexray.recording.batches.now", lambda: "2026-03-11T00:00:00+00:00")
    monkeypatch.setattr("moexray.recording.batches._SECONDS", 0.0)  # the journal keeps each prompt at once

    def capture_from(url: str, out: Path, **options: Any) -> Signatures:
        here: dict[str, Any] = {"engine": "server", "served_model": MODEL, "max_new_tokens": 4, "concurrency": 4}
        return capture(PROMPTS, model=served.name, url=url, out=out, **{**here, **options})

    return capture_from


@pytest.mark.slow
def test_a_capture_outlives_its_server_and_writes_the_same_file(
    process: Process, captured: Callable[..., Signatures], tmp_path: Path
) -> None:
    """The server is killed in the middle of requests, twice, and started again."""
    process.start()
    captured(process.url, tmp_path / "undisturbed.npz")
    done: list[Signatures] = []
    passed = [0]

    def note(progress: Progress) -> None:
        passed[0] = progress.prompts

    capturing = Thread(target=lambda: done.append(captured(process.url, tmp_path / "out.npz", on_progress=note)))
    capturing.start()
    for prompts in (10, 30):
        while passed[0] < prompts:
            time.sleep(0.005)
            assert capturing.is_alive()
        process.kill()
        time.sleep(0.3)
        process.start()
    capturing.join()
    assert len(done[0]) == len(PROMPTS)
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "undisturbed.npz").read_bytes()


@pytest.mark.slow
def test_a_capture_whose_server_stays_away_says_how_to_go_on_and_goes_on(
    process: Process, captured: Callable[..., Signatures], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    process.start()
    whole = captured(process.url, tmp_path / "undisturbed.npz")

    def kill(progress: Progress) -> None:
        if progress.prompts >= 20:
            process.kill()

    with pytest.raises(CaptureError, match=r"has not answered for 0\.3 s .* the same command goes on from what"):
        captured(process.url, out, on_progress=kill, retry_seconds=0.3)
    assert journal_path(out).exists()
    assert not out.exists()
    process.start()
    found = captured(process.url, out)
    assert (np.asarray(found.counts) == np.asarray(whole.counts)).all()
    assert out.read_bytes() == (tmp_path / "undisturbed.npz").read_bytes()


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"/version": {"version": "0.31.0"}}, "came back as vLLM 0.31.0 with 'tiny'"),
        ({"/v1/models": {"data": [{"id": "other"}]}}, "serves 'other' and not 'tiny'"),
        ({"/v1/models": {"data": [{"id": MODEL, "max_model_len": 64}]}}, "a context of 64, and was vLLM 0.30.0"),
    ],
)
def test_a_server_that_comes_back_as_another_is_refused(
    about: dict[str, Any], expected: str, served: ServedModel
) -> None:
    with FakeServer() as server:

        def once(handler: Handler, reply: dict[str, Any]) -> dict[str, Any] | None:
            if server.about.items() >= about.items():
                return reply
            server.about.update(about)
            handler.close_connection = True
            return None

        server.damage = once
        limits = Limits(concurrency=1, retry_seconds=30)
        refused = pytest.raises(CaptureError, match=expected)
        with ServerEngine(served, address_of(server.url), limits, served_model=MODEL) as engine, refused:
            list(engine.run(PROMPTS, Generation(2)))


def test_a_server_that_is_busy_for_a_while_is_asked_again(served: ServedModel) -> None:
    """Each status of a busy server once, and a broken connection; every prompt comes once."""
    statuses = [429, 500, 502, 503, 504, 0]

    def busy(handler: Handler, reply: dict[str, Any]) -> dict[str, Any] | None:
        if not statuses:
            return reply
        status = statuses.pop()
        if status:
            handler.send(status, b"later", Retry_After="0.01")
        else:
            handler.close_connection = True
        return None

    with FakeServer(damage=busy) as server:
        limits = Limits(concurrency=3, retry_seconds=30)
        with ServerEngine(served, address_of(server.url), limits, served_model=MODEL) as engine:
            places = [place for place, _ in engine.run(PROMPTS[:8], Generation(2))]
    assert sorted(places) == list(range(8))
    assert len(server.requests) == 8 + 6


def test_a_capture_does_not_go_on_with_weights_of_another_version(
    captured: Callable[..., Signatures], tmp_path: Path
) -> None:
    """SGLang names their version: training may load others between two runs of the same command.

    The first run is interrupted right after prompts were kept, which must not keep them twice.
    """
    out = tmp_path / "out.npz"

    def leave(progress: Progress) -> None:
        if progress.prompts >= 5:
            raise KeyboardInterrupt

    with FakeServer("sglang", settings={"weight_version": "step-1"}) as server:
        with pytest.raises(KeyboardInterrupt):
            captured(server.url, out, on_progress=leave)
        server.about["/server_info"]["weight_version"] = "step-2"
        with pytest.raises(CaptureError, match="weight_version 'step-1' and not 'step-2'"):
            captured(server.url, out)
        server.about["/server_info"]["weight_version"] = "step-1"
        assert captured(server.url, out).meta["weight_version"] == "step-1"
