"""A program that forks captures and kills them: forking is fast, since everything is loaded already.

python killing.py FOLDER MODEL KILLS BATCH_TOKENS...

With several BATCH_TOKENS, each life of a capture has others than the one before.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401  # loaded once, for all that are forked
import pytest

import moexray.engines.transformers.engine  # noqa: F401  # loaded once
from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.signatures import Signatures

RECORD = ("scores", "coselection")  # scores bring the trace with them
PROMPTS = [Prompt("abcdefghijklmnop"[: 1 + i % 16] * (1 + i % 5), "ab"[i % 2], f"p{i}") for i in range(96)]


def run(folder: Path, model: str, **options: Any) -> Signatures:
    """Capture in batches so small that there are many moments between them, at a time that is always the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moexray.recording.batches.now", lambda: "2026-03-11T00:00:00+00:00")
        settings = {"model": model, "max_new_tokens": 3, "batch_tokens": 400, "dtype": "float32", "device": "cpu"}
        return capture(PROMPTS, out=folder / "out.npz", **{**settings, "record": RECORD, **options})


def kill_and_go_on(root: Path, model: str, kills: int, batch_tokens: Sequence[int]) -> None:
    """Kill captures at random moments, each up to three times, until `kills` of them were at work; then let them end.

    With several sizes of batches, until one of them was killed between two of its batches, too.

    Everything is loaded by then, but nothing has run: a process that is forked from one in which torch has computed
    may find torch's threads gone.
    """
    whole = root / "whole"
    whole.mkdir()
    for _ in range(2):  # the first has something left to load
        started = time.perf_counter()
        killed_after(None, whole, model, batch_tokens[0])
        seconds = time.perf_counter() - started
    (whole / "kills").write_text("0")
    moment = random.Random(7)
    met = captures = 0
    crossed = len(batch_tokens) == 1  # whether a capture went on with other batches than it began with
    while met < kills or not crossed:
        folder = root / str(captures)
        folder.mkdir()
        captures += 1
        lived = 0
        while not killed_after(
            moment.uniform(0, 1) * seconds if lived < 3 else None,
            folder,
            model,
            batch_tokens[lived % len(batch_tokens)],
        ):
            lived += 1
        met += lived
        crossed = crossed or isinstance(Signatures.open(folder / "out.npz").meta["batch_tokens"], list)
        (folder / "kills").write_text(str(lived))


def killed_after(seconds: float | None, folder: Path, model: str, batch_tokens: int) -> bool:
    """Capture in a forked process that is killed after some seconds; return whether it ended before."""
    process = os.fork()
    if process == 0:
        run(folder, model, batch_tokens=batch_tokens)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


if __name__ == "__main__":
    kill_and_go_on(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), list(map(int, sys.argv[4:])))
