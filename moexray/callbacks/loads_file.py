"""The file of loads: one line of JSON a window, with the selections of every expert."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moexray.errors import MoexrayError
from moexray.files import whole_file
from moexray.strict_json import loads


def begin_loads(path: Path, *, step: int) -> None:
    """Keep the lines of a file up to a step, after which training goes on; at step 0 none.

    Raises
    ------
    MoexrayError
        If the file is none that was written here, or cannot be written.
    """
    kept = [line for line in _lines(path) if _step_of(path, line) <= step] if step > 0 else []
    with whole_file(path) as partial:
        partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def append_loads(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line of JSON.

    Raises
    ------
    MoexrayError
        If the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise MoexrayError(message) from error


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: move it away, or name another `folder`"
        raise MoexrayError(message) from error
    return lines[:-1]  # after the last line break is nothing, or what a killed process did not finish


def _step_of(path: Path, line: str) -> int:
    try:
        return int(loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} has a line that is no report of a training: move it away, or name another `folder`"
        raise MoexrayError(message) from error
