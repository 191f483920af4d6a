"""A real server of vLLM: the routing that transformers records, whatever happens to the server meanwhile."""

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

from moexray.engines.server.exchange import Exchange
from moexray.errors import CaptureError
from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.recording.progress import Progress
from moexray.signatures import Signatures
from tests.engines.vllm.served_models import save, texts

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]  # vLLM and what it needs warn

KEY = "sk-of-a-test-0123456789"
ARGUMENTS = ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", str(2**26), "--max-model-len", "256"]
ARGUMENTS += ["--max-num-seqs", "4", "--max-num-batched-tokens", "64"]
FLAG = "--enable-return-routed-experts"


class VllmServer:
    """A server of vLLM in processes of its own, which can be killed and started again at the same port."""

    def __init__(self, model: str, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.model, self.log = model, log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *arguments: str, seconds: float = 600) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", self.model]
        command += ["--host", "127.0.0.1", "--port", str(self.port), *ARGUMENTS, *arguments]
        own = {"VLLM_API_KEY": KEY, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
        own |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **own}, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            with socket.socket() as probe:
                probe.settimeout(5)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.5)
        pytest.fail(f"vLLM did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill all of its processes, with what they are answering."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """Return a server, not started, of a model with dense layers, or of the type that a test names."""
    folder = tmp_path_factory.mktemp("served")
    found = VllmServer(save(folder, getattr(request, "param", "qwen3_moe")), folder.with_suffix(".log"))
    yield found
    found.kill()


@pytest.fixture
def captured(server: VllmServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Signatures]:
    """Return a function that captures from the server, or with the engine of transformers."""
    monkeypatch.setenv("MOEXRAY_API_KEY", KEY)
    monkeypatch.setattr("moexray.recording.batches.now", lambda: "2026-03-11T00:00:00+00:00")
    monkeypatch.setattr("moexray.recording.batches._SECONDS", 0.0)  # the journal keeps each prompt at once

    def run(prompts: list[Prompt], engine: str = "server", **options: Any) -> Signatures:
        own: dict[str, Any] = {"url": server.url} if engine == "server" else {"device": "cpu", "dtype": "float32"}
        return capture(prompts, model=server.model, engine=engine, raw=True, **own, **options)

    return run


def check_same(one: Signatures, other: Signatures) -> None:
    """Check that two captures have equal counts, tokens and texts."""
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(one.tokens, other.tokens)
    assert one.prompts.outputs == other.prompts.outputs


def test_a_server_without_the_flag_is_refused(server: VllmServer, captured: Callable[..., Signatures]) -> None:
    server.start()
    try:
        with pytest.raises(Exception, match=f"start it with {FLAG}"):
            captured(texts(2), max_new_tokens=2)
    finally:
        server.kill()


@pytest.mark.parametrize("server", ["olmoe", "qwen2_moe", "qwen3_moe"], indirect=True)
def test_counts_are_those_of_transformers_and_concurrency_changes_none(
    server: VllmServer, captured: Callable[..., Signatures], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is generated, texts end at no end token, and outputs are given."""
    server.start(FLAG)
    weights = [0]
    post = Exchange.post

    async def weighed(self: Exchange, *arguments: Any, **options: Any) -> bytes:
        body = await post(self, *arguments, **options)
        weights[0] += len(body)
        return body

    monkeypatch.setattr(Exchange, "post", weighed)
    ended = captured(texts(), "transformers", max_new_tokens=12)
    for concurrency in (1, 8):
        found = captured(texts(), max_new_tokens=12, concurrency=concurrency)
        check_same(found, ended)
    print(f"{weights[0] / 2 / found.tokens.sum():.1f} bytes of replies a token, {found.tokens.sum()} tokens")
    assert found.meta["server"] == "vLLM"
    for options in ({"max_new_tokens": 0}, {"max_new_tokens": 5, "stop_at_eos": False}):
        check_same(captured(texts(), **options), captured(texts(), "transformers", **options))
    outputs = zip(texts(), ended.prompts.outputs or (), strict=True)
    given = [Prompt(one.text, one.category, one.id, output=output) for one, output in outputs]
    check_same(captured(given), captured(given, "transformers"))
    monkeypatch.setenv("MOEXRAY_API_KEY", "sk-wrong")
    with pytest.raises(CaptureError, match=r"status 401.*put its key into MOEXRAY_API_KEY"):
        captured(texts(2))


def test_a_server_that_is_killed_in_a_capture_and_started_again_changes_nothing(
    server: VllmServer, captured: Callable[..., Signatures], tmp_path: Path
) -> None:
    """Needs the server of the test before."""
    if server.process is None:
        server.start(FLAG)
    prompts = [Prompt(one.text, one.category, f"{one.id}-{turn}") for turn in range(4) for one in texts()]
    options: dict[str, Any] = {"max_new_tokens": 24, "stop_at_eos": False, "concurrency": 4}
    passed = [0]
    found: list[Signatures] = []

    def note(progress: Progress) -> None:
        passed[0] = progress.prompts

    def run() -> None:
        found.append(captured(prompts, out=tmp_path / "out.npz", on_progress=note, **options))

    capturing = Thread(target=run)
    capturing.start()
    while passed[0] < 12:
        assert capturing.is_alive()
        time.sleep(0.005)
    server.kill()
    assert passed[0] < len(prompts)
    server.start(FLAG)
    capturing.join()
    captured(prompts, out=tmp_path / "undisturbed.npz", **options)
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "undisturbed.npz").read_bytes()
    check_same(found[0], captured(prompts, "transformers", max_new_tokens=24, stop_at_eos=False))
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert KEY.encode() not in held
