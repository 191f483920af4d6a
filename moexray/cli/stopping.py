"""Ctrl-C while a capture runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from moexray.cli.render import say_error

_INTERRUPTED = 130  # what shells return for a program that Ctrl-C ended


@contextmanager
def interruptible(journal: Path) -> Iterator[None]:
    """Let Ctrl-C end the command with a line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"finished prompts are kept in {journal}: the same command goes on from there"
        say_error(f"stopped; {kept if journal.exists() else 'nothing was recorded yet'}")
        raise typer.Exit(_INTERRUPTED) from None
