"""Free memory is what the machine has, within the limits of the groups that hold the process."""

from pathlib import Path

import pytest
import torch

from moexray.engines.transformers import memory
from moexray.engines.transformers.memory import free_memory

MEBIBYTE = 2**20
CPU = torch.device("cpu")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for `/proc` and `/sys/fs/cgroup` of a machine with 1000 MiB available."""
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n", encoding="ascii")
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    return tmp_path


def group(folder: Path, *, limit: object, used: int, files: int, version: int) -> None:
    """Write the files of one control group, in MiB; half of the files in memory were used lately."""
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"), 2: ("memory.max", "memory.current", "")}
    limit_name, usage_name, prefix = names[version]
    folder.mkdir(parents=True)
    size = limit * MEBIBYTE if isinstance(limit, int) else limit
    (folder / limit_name).write_text(f"{size}\n", encoding="ascii")
    (folder / usage_name).write_text(f"{used * MEBIBYTE}\n", encoding="ascii")
    half = files * MEBIBYTE // 2
    stat = f"{prefix}inactive_file {half}\n{prefix}active_file {half}\n"
    (folder / "memory.stat").write_text(stat, encoding="ascii")


def test_a_tenth_is_left_to_others(machine: Path) -> None:
    assert free_memory(CPU) == 900 * MEBIBYTE


def test_no_more_than_a_gigabyte_is_left_to_others(machine: Path) -> None:
    (machine / "meminfo").write_text("MemAvailable: 100000000 kB\n", encoding="ascii")
    assert free_memory(CPU) == 100_000_000 * 1024 - 10**9


@pytest.mark.parametrize(
    ("version", "line", "folder"),
    [
        (2, "0::/job/step", "cgroup/job/step"),
        (2, "0::/job/step", "cgroup/job"),  # the limit of a group holds for those within it
        (2, "0::/job", "cgroup/unified/job"),
        (2, "0::/", "cgroup"),
        (1, "4:cpuset:/x\n7:cpu,memory:/docker/1", "cgroup/memory/docker/1"),
        (1, "7:memory:/docker/1", "cgroup/memory"),  # a container that sees its own group at the root
    ],
)
def test_the_limit_of_a_group_counts_and_files_in_memory_do_not(
    machine: Path, version: int, line: str, folder: str
) -> None:
    (machine / "self" / "cgroup").write_text(f"{line}\n", encoding="ascii")
    group(machine / folder, limit=400, used=300, files=200, version=version)
    assert free_memory(CPU) == 270 * MEBIBYTE  # 400 − (300 − 200), less a tenth


@pytest.mark.parametrize("limit", ["max", 2**43 - 1])
def test_a_group_without_a_limit_changes_nothing(machine: Path, limit: object) -> None:
    (machine / "self" / "cgroup").write_text("0::/\n", encoding="ascii")
    group(machine / "cgroup", limit=limit, used=300, files=0, version=2)
    assert free_memory(CPU) == 900 * MEBIBYTE


def test_a_group_that_is_full_leaves_nothing(machine: Path) -> None:
    (machine / "self" / "cgroup").write_text("0::/\n", encoding="ascii")
    group(machine / "cgroup", limit=100, used=120, files=0, version=2)
    assert free_memory(CPU) == 0


def test_a_system_that_does_not_say_gives_none(machine: Path) -> None:
    (machine / "meminfo").unlink()
    assert free_memory(CPU) is None
