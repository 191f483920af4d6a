"""What went wrong in vLLM, in one sentence: its processes write the cause to their log, and raise that there is one."""

import re
from pathlib import Path
from typing import Any

_RAISED = re.compile(r"(?:^|[\s\]])((?:\w+\.)*\w*(?:Error|Exception|Interrupt))(?:: (.+))?$")
# What is said of an error elsewhere.
_POINTERS = re.compile(r"root cause|stack trace|Failed core proc|leaked|cancelled", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|MemoryError", re.IGNORECASE)
_MOST_READ = 2**20
_MOST_LETTERS = 400
_NO_ROOM = (
    "it does not fit into memory: lower gpu_memory_utilization, max_model_len or max_num_seqs with `engine_options`, "
    "or take a smaller `dtype`"
)
_SILENT = "its processes ended without saying why, as they do when the system kills them for want of memory"


def cause_of(error: BaseException, log: Path) -> str:
    """Return why vLLM failed: what its processes logged, or else what was raised here."""
    text = said(error)
    if _POINTERS.search(text):
        text = logged(log) or _SILENT
    return _NO_ROOM if _MEMORY.search(text) else text[:_MOST_LETTERS]


def said(error: BaseException) -> str:
    """Return the first sentence of an error; of one of pydantic, its own words without pydantic's."""
    errors: Any = getattr(error, "errors", None)
    if callable(errors):
        found = errors()
        first = found[0] if found else {}
        where = ".".join(map(str, first.get("loc", ())))
        words = str(first.get("msg", "")).removeprefix("Value error, ")
        return " ".join(f"{where}: {words}".removeprefix(": ").split())
    return " ".join(str(error).split()) or type(error).__name__


def logged(log: Path) -> str | None:
    """Return the last error in a log that is more than a pointer to another; None where there is none."""
    found = None
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _MOST_READ))
        content = file.read().decode("utf-8", "replace")
    for line in content.splitlines():
        match = _RAISED.search(line.rstrip())
        if match and not _POINTERS.search(line):
            found = f"{match[1].rpartition('.')[2]}: {match[2]}" if match[2] else match[1].rpartition(".")[2]
    return found
