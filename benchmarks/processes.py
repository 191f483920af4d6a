"""Measuring in processes of their own, and what such a process held in memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def in_a_process(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program and return the JSON object that it printed last."""
    command = [sys.executable, program, *arguments]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def resident(which: str) -> int:
    """Return bytes of this process's resident memory as Linux counts them: VmRSS now, VmHWM at most.

    Not `resource.getrusage`, whose peak a process inherits from the one that started it.
    """
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(fields[which].split()[0]) * 1024
