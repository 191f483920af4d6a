"""vLLM's processes end with the capture, however that ends, and what was finished is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.recording.journal import journal_path
from moexray.signatures import Signatures
from tests.engines.vllm.comparing import OPTIONS, REAL
from tests.engines.vllm.served_models import save, texts

pytestmark = REAL


def command(model: str, prompts: Path, out: Path, *more: str) -> list[str]:
    named = [part for name, value in OPTIONS.items() for part in ("--engine-option", f"{name}={value}".lower())]
    options = ["--engine", "vllm", "--model", model, "--dtype", "float32", "--raw", "--no-stop-at-eos"]
    run = [sys.executable, "-m", "moexray", "capture", "--prompts", str(prompts), "--out", str(out)]
    return [*run, *options, *named, *more]


def family_of(process: int) -> list[int]:
    """Return a process and all that it started, of those that run."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(folder.name)] = int(fields[1])
    found = [process]
    for one in found:
        found.extend(child for child, parent in parents.items() if parent == one)
    return found


def are_gone(processes: Sequence[int], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(is_running(one) for one in processes):
            return True
        time.sleep(0.5)
    return False


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stopped_after_the_first_kept(arguments: list[str], out: Path, sent: int) -> tuple[int, list[int], str]:
    """Run a command, send a signal once its journal has grown, and return its status, processes and errors."""
    journal = journal_path(out)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)
    planned = 0
    while process.poll() is None:
        size = journal.stat().st_size if journal.exists() else 0
        family = family_of(process.pid)
        if planned and size > planned:
            break
        if len(family) > 2 and size and not planned and is_settled(journal):
            planned = journal.stat().st_size
        time.sleep(0.2)
    family = family_of(process.pid)
    assert len(family) > 2
    os.kill(process.pid, sent) if sent == signal.SIGKILL else os.killpg(process.pid, sent)
    _, errors = process.communicate(timeout=120)
    return process.returncode, family, errors


def is_settled(journal: Path) -> bool:
    """Whether the plan has been written: the journal is larger than its empty tables and grows no more."""
    before = journal.stat().st_size
    time.sleep(1.0)
    return before == journal.stat().st_size > 24 * 1024


def test_a_capture_that_was_interrupted_and_killed_goes_on_to_the_same_signatures(tmp_path: Path) -> None:
    model = save(tmp_path, "olmoe")
    prompts = [Prompt(f"{place} {texts()[place % 12].text}", "a", id=f"{place}") for place in range(160)]
    rows = [json.dumps({"id": one.id, "category": one.category, "text": one.text}) for one in prompts]
    (tmp_path / "prompts.jsonl").write_text("\n".join(rows), encoding="utf-8")
    out = tmp_path / "signatures.npz"
    arguments = command(model, tmp_path / "prompts.jsonl", out, "--max-new-tokens", "48")

    status, family, errors = stopped_after_the_first_kept(arguments, out, signal.SIGINT)
    assert status == 130
    assert "stopped; finished prompts are kept" in errors
    assert are_gone(family)

    status, family, _ = stopped_after_the_first_kept(arguments, out, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert are_gone(family)

    finished = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    expected = capture(prompts, model=model, dtype="float32", raw=True, stop_at_eos=False, max_new_tokens=48)
    found = Signatures.open(out)
    assert np.array_equal(found.counts, expected.counts)
    assert list(found.prompts.outputs) == list(expected.prompts.outputs)
    assert finished.stdout.splitlines()[-1] == f"wrote {out}"
    assert "INFO" not in finished.stdout + finished.stderr


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("speed=9", "unexpected keyword argument 'speed'"),
        ("block_size=-1", "block_size"),
        ("quantization=none", "quantization"),
    ],
)
def test_what_vllm_refuses_is_one_sentence(tmp_path: Path, option: str, problem: str) -> None:
    (tmp_path / "prompts.txt").write_text("Hello there.", encoding="utf-8")
    arguments = command(save(tmp_path, "olmoe"), tmp_path / "prompts.txt", tmp_path / "signatures.npz")
    run = subprocess.run([*arguments, "--engine-option", option], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    lines = [line for line in run.stderr.splitlines() if not line.startswith("loading")]
    assert len(lines) == 1
    assert problem in lines[0]


def test_a_model_that_vllm_cannot_run_is_one_sentence(tmp_path: Path) -> None:
    """The attention of vLLM on CPUs takes no heads of 16 numbers."""
    (tmp_path / "prompts.txt").write_text("Hello there.", encoding="utf-8")
    arguments = command("scale", tmp_path / "prompts.txt", tmp_path / "signatures.npz")
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    lines = [line for line in run.stderr.splitlines() if not line.startswith(("loading", "capturing"))]
    assert len(lines) == 1
    assert "head_dim=16" in lines[0]
