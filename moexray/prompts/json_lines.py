"""JSON Lines, in a file or from standard input: an object on each line."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moexray.errors import PromptsError
from moexray.prompts.columns import USUAL_NAMES, Columns, in_usual_spelling
from moexray.prompts.lines import lines
from moexray.prompts.prompt import Prompt
from moexray.prompts.rows import prompt_of
from moexray.prompts.source import Source


def read_json_lines(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.jsonl`` file."""
    with source.opening(), path.open("rb") as file:
        yield from _prompts(file, source, columns)


def read_standard_input(source: Source, columns: Columns) -> Iterator[Prompt]:
    """Read standard input until it ends."""
    with source.opening():
        yield from _prompts(sys.stdin.buffer, source, columns)


def _prompts(file: Iterable[bytes], source: Source, columns: Columns) -> Iterator[Prompt]:
    for number, line in enumerate(lines(file, source), start=1):
        place = source.place(number)
        entry = _entry(place, line)
        unknown = [] if columns.asked else [key for key in entry if in_usual_spelling(key) not in USUAL_NAMES]
        found = columns.find(place, entry)
        if unknown:  # A misspelt category would otherwise be the file's name, and nobody would see it.
            problem = (
                f'{place} has an unknown key "{unknown[0]}": there are {", ".join(USUAL_NAMES)}; '
                f"to read some keys of many, name them: --text-column {found['text']}"
            )
            raise PromptsError(problem)
        yield prompt_of(source, number, entry, found)


def _entry(place: str, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"{place} is not JSON ({error.msg} at column {error.colno})"
        raise PromptsError(problem) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets within brackets
        problem = f"{place} cannot be read as JSON ({error})"
        raise PromptsError(problem) from error
    if not isinstance(entry, dict):
        problem = f"{place} holds {type(entry).__name__}, not an object with a text"
        raise PromptsError(problem)
    return entry
