"""What the README and the docs show: their blocks, and whether a command prints what a page says."""

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from pyarrow import parquet

from moexray.cli.main import main
from moexray.examples import FOLDER
from moexray.signatures import Signatures

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
# A line of its own in an output stands for lines that the page leaves out.
OMITTED = "…"
_NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*")
_SECONDS = re.compile(r"\d+\.\d s\b")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language, such as ``python``."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def sessions(page: Path) -> list[tuple[str, str]]:
    """Return each command line that a page shows with its output, and that output."""
    found = [part.partition("\n") for block in blocks(page, "console") for part in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in found]


def commands(page: Path) -> list[str]:
    """Return each command line of the blocks of a page that show no output, without its comment."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


def example_files(folder: Path, *, every: int = 1) -> Path:
    """Put the recorded example, or every nth prompt of it, where a capture writes it, with its trace."""
    for name in ("signatures.npz", "signatures.trace.parquet"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    if every > 1:
        signatures, trace = Signatures.load(folder / "signatures.npz"), folder / "signatures.trace.parquet"
        some = signatures.take(range(0, len(signatures), every))
        some.save(folder / "signatures.npz")
        parquet.write_table(parquet.read_table(trace, filters=[("prompt", "in", list(some.prompts.ids))]), trace)
    return folder


def run(command: str, folder: Path, *more: str) -> str:
    """Run a `moexray` command line with further arguments, in a terminal of 80 columns, and return what it prints."""
    program, *arguments = shlex.split(command)
    assert program == "moexray"
    printed, told = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        patch.object(sys, "argv", [program, *arguments, *more]),
        patch.dict("os.environ", {"COLUMNS": "80"}),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(told),
        pytest.raises(SystemExit) as stopped,
    ):
        main()
    assert not stopped.value.code, told.getvalue()
    return printed.getvalue()


def run_program(program: str, folder: Path) -> None:
    """Run a program of Python in a folder, in names of its own: what it uses, it has to import. Warnings are errors."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(compile(program, "a program of the docs", "exec"), {"__name__": "__main__"})


def assert_shown(shown: str, printed: str) -> None:
    """Check that a page shows what was printed, but for rounding, times, and what it leaves out.

    On another processor a token whose scores all but tie may be sent elsewhere, and numbers follow a little.
    """
    printed_words, start = _SECONDS.sub("#", printed).split(), 0
    parts = re.split(rf"^{OMITTED}\n", shown, flags=re.MULTILINE)
    for part in parts:
        words = _SECONDS.sub("#", part).split()
        start = _find(words, printed_words, start)
        found = printed_words[start : start + len(words)]
        assert _masked(found) == _masked(words)
        assert _numbers(found) == pytest.approx(_numbers(words), rel=0.1, abs=0.1)
        start += len(words)
    assert not parts[-1] or start == len(printed_words)


def _find(words: list[str], printed: list[str], start: int) -> int:
    """Return the first place from `start` where these words are printed; `start` itself if they are not."""
    masked, wanted = _masked(printed), _masked(words)
    places = (i for i in range(start, len(printed)) if masked[i : i + len(wanted)] == wanted)
    return next(places, start)


def _masked(words: list[str]) -> list[str]:
    return [_NUMBER.sub("#", word) for word in words]


def _numbers(words: list[str]) -> list[float]:
    found = _NUMBER.findall(" ".join(words))
    return [float(number.replace(",", "").replace("−", "-")) for number in found]
