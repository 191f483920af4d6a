"""The examples of docs/several-captures.md run as they stand, a process after the other on this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moexray.generation import Generation
from moexray.merging import merge_files
from moexray.prompts import read_prompts
from moexray.recording.capture import capture_with
from moexray.signatures import Signatures

from ..recording.made_engine import MadeEngine
from . import made_moexray

EXAMPLES = Path(__file__).parents[2] / "examples"
SLURM, KUBERNETES = EXAMPLES / "slurm_array.sh", EXAMPLES / "kubernetes_job.yaml"
SHARDS, PROMPTS = 3, 7
TEXT = "".join(f"{'abcdefgh'[: 1 + i]}\n" for i in range(PROMPTS))
Task = Callable[..., int]


def job() -> dict[str, Any]:
    yaml: Any = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load(KUBERNETES.read_text(encoding="utf-8"))
    return found


def container() -> dict[str, Any]:
    found: dict[str, Any] = job()["spec"]["template"]["spec"]["containers"][0]
    return found


def slurm_task(index: int, **environment: str) -> int:
    """Run the script as a task of an array, and return its exit status."""
    return subprocess.run(
        ["bash", str(SLURM)], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(index), **environment}, check=False
    ).returncode


def kubernetes_pod(index: int, **environment: str) -> int:
    """Run the command of the job's container with its environment, but for what is given, and return its status."""
    one = container()
    its_own = {"JOB_COMPLETION_INDEX": str(index), **{entry["name"]: entry["value"] for entry in one["env"]}}
    command = [*one["command"], *one["args"]]
    return subprocess.run(command, env={**os.environ, **its_own, **environment}, check=False).returncode


def program(folder: Path, command: str) -> dict[str, str]:
    """Return an environment in which ``moexray`` is a command, and the examples' paths are in a folder."""
    (folder / "bin").mkdir()
    script = folder / "bin" / "moexray"
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    (folder / "prompts.txt").write_text(TEXT, encoding="utf-8")
    return {
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "SHARDS": str(SHARDS),
        "MODEL": "scale",
        "PROMPTS": str(folder / "prompts.txt"),
        "OUT": str(folder / "all.npz"),
        "LOG": str(folder / "log"),
    }


def check_whole(folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge the shards and compare with one capture of all prompts, with an engine that makes both the same bytes."""
    ran = (folder / "log").read_text(encoding="utf-8").split()
    assert len(ran) == len(set(ran)) == PROMPTS, "a prompt ran twice, or never: a killed shard did not go on"
    merge_files(sorted(folder.glob("all.shard-*-of-*.npz")), folder / "merged.npz")
    monkeypatch.setattr("moexray.recording.batches.now", lambda: made_moexray.NOW)
    prompts = read_prompts(environment["PROMPTS"])
    capture_with(MadeEngine("alone"), prompts, Generation(32), out=folder / "whole.npz", record=("trace",))
    for suffix in ("npz", "trace.parquet"):
        assert (folder / f"merged.{suffix}").read_bytes() == (folder / f"whole.{suffix}").read_bytes()


@pytest.mark.slow
def test_an_array_whose_one_task_was_killed_and_started_again_gives_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = program(tmp_path, f"{sys.executable} {made_moexray.__file__}")
    assert slurm_task(1, **environment, KILL_AFTER="1") in {-9, 137}
    assert (tmp_path / "all.shard-1-of-3.npz.journal").exists()
    assert not (tmp_path / "all.shard-1-of-3.npz").exists()
    assert [slurm_task(index, **environment) for index in range(SHARDS)] == [0, 0, 0]
    check_whole(tmp_path, environment, monkeypatch)


@pytest.mark.slow
def test_the_pods_of_an_indexed_job_give_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = program(tmp_path, f"{sys.executable} {made_moexray.__file__}") | {"SHARDS": "2"}
    assert [kubernetes_pod(index, **environment) for index in range(2)] == [0, 0]
    check_whole(tmp_path, environment, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("task", [slurm_task, kubernetes_pod])
def test_an_example_captures_a_real_model(tmp_path: Path, task: Task) -> None:
    environment = program(tmp_path, f"{sys.executable} -m moexray")
    assert [task(index, **environment) for index in range(SHARDS)] == [0, 0, 0]
    parts = sorted(tmp_path.glob("all.shard-*-of-3.npz"))
    command = ["moexray", "merge", *map(str, parts), "--out", str(tmp_path / "merged.npz")]
    subprocess.run(command, env={**os.environ, **environment}, check=True)
    found = Signatures.load(tmp_path / "merged.npz")
    assert found.prompts.texts is not None
    assert list(found.prompts.texts) == TEXT.split()


def test_the_jobs_numbers_agree() -> None:
    spec = job()["spec"]
    (shards,) = (entry["value"] for entry in container()["env"] if entry["name"] == "SHARDS")
    assert spec["completionMode"] == "Indexed"
    assert int(shards) == spec["completions"] >= spec["parallelism"]
    script = SLURM.read_text(encoding="utf-8")
    assert "#SBATCH --array=0-7\n" in script
    assert "SHARDS=${SHARDS:-8}\n" in script


def test_the_script_is_right_shell() -> None:
    assert subprocess.run([shutil.which("bash") or "bash", "-n", str(SLURM)], check=False).returncode == 0
