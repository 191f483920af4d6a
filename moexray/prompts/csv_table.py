"""Comma-separated values: a header, and a prompt on each row."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from moexray.errors import PromptsError
from moexray.prompts.columns import Columns
from moexray.prompts.lines import decoded, empty
from moexray.prompts.prompt import Prompt
from moexray.prompts.rows import prompt_of
from moexray.prompts.source import Source

_LONGEST = 2**31 - 1


def read_csv(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.csv`` file; a quoted value may hold commas, quotes and line ends."""
    with source.opening(), path.open("rb") as file:
        rows = _rows(file, source)
        first = next(rows, None)
        if first is None:
            raise empty(source)
        header = first[1]
        found = columns.find(source.name, header)
        number = 0
        for number, (line, row) in enumerate(rows, start=1):
            if len(row) != len(header):
                problem = (
                    f"{source.place(number)} (line {line}) has {len(row)} values, but the header names {len(header)} "
                    "columns: put a value that holds a comma in quotes"
                )
                raise PromptsError(problem)
            yield prompt_of(source, number, dict(zip(header, row, strict=True)), found)
        if not number:
            raise empty(source)


def _rows(file: Iterable[bytes], source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins on, and its values; strict, so that a stray quote is not guessed at."""
    reader = csv.reader(decoded(file, source), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            with _long_values():
                row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"{source} line {line} begins a row that is no CSV ({error}): write a quote within quotes twice"
            raise PromptsError(problem) from error
        if not row or not "".join(row).strip():
            problem = f"{source} line {line} is empty: delete the line, or write a prompt there"
            raise PromptsError(problem)
        yield line, row


@contextmanager
def _long_values() -> Iterator[None]:
    """Lift for a moment the limit of 128 KiB a value, which is the whole process's, and which long prompts exceed."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)
