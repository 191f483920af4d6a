"""Free memory: that of the device, within the limits that a container or a scheduler sets."""

from collections.abc import Iterator
from pathlib import Path

import torch

# What the rest of the process, and other processes, may still take: a tenth, and a gigabyte at most.
_ROOM_SHARE, _ROOM = 0.1, 10**9

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int | None:
    """Return the bytes of the device that may be filled; None where the system does not say.

    A tenth of what is free, or a gigabyte if that is less, is left to others.
    """
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0])
    elif device.type == "cpu" and (_PROC / "meminfo").exists():
        free = min([_of_machine(_PROC), *_of_groups(_PROC, _CGROUPS)])
    else:
        return None
    return max(0, free - min(int(_ROOM_SHARE * free), _ROOM))


def _of_machine(proc: Path) -> int:
    fields = _fields(proc / "meminfo")
    return 1024 * fields.get("MemAvailable:", fields.get("MemFree:", 0))


def _of_groups(proc: Path, mounted: Path) -> Iterator[int]:
    """Yield what each control group of this process, and each that holds it, leaves free: version 1 and 2 alike."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    roots: tuple[Path, ...]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file", "active_file")
            roots = (mounted, mounted / "unified")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file")
            roots = (mounted / "memory",)
        else:
            continue
        for root in roots:
            inside = root / path.lstrip("/")
            for group in (inside, *inside.parents):  # a container may see its own group at the root
                if group.is_relative_to(root) and (free := _of_group(group, *names)) is not None:
                    yield free


def _of_group(group: Path, limit: str, usage: str, *reclaimed: str) -> int | None:
    """Return the limit of a group less its usage, files in memory left out: the system drops them where it must."""
    try:
        most = (group / limit).read_text(encoding="ascii").strip()
        if not most.isdecimal():  # "max"
            return None
        used = int((group / usage).read_text(encoding="ascii"))
        fields = _fields(group / "memory.stat")
    except (OSError, ValueError):
        return None
    files = sum(fields.get(name, 0) for name in reclaimed)
    return max(0, int(most) - max(0, used - files))


def _fields(path: Path) -> dict[str, int]:
    """Read lines of a name, a number and possibly a unit."""
    words = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdecimal()}
