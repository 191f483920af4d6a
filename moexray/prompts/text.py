"""Plain text: a prompt on each line."""

from collections.abc import Iterator
from pathlib import Path

from moexray.prompts.columns import Columns
from moexray.prompts.lines import lines
from moexray.prompts.prompt import Prompt
from moexray.prompts.source import Source


def read_text(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.txt`` file: its name is the category, and with the number of its line a prompt's id."""
    columns.refuse(source)
    with source.opening(), path.open("rb") as file:
        for number, line in enumerate(lines(file, source), start=1):
            yield Prompt(line, category=source.category, id=source.id(number))
