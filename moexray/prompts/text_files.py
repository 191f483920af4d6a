"""Readers of plain text, JSON Lines and CSV: line by line, so that a file of any size is never in memory as a whole."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moexray import strict_json
from moexray.csv_file import csv_rows, decoded
from moexray.errors import PromptsError
from moexray.formats import is_blank
from moexray.prompts.prompt import Prompt
from moexray.prompts.rows import USUAL_NAMES, Columns, Source, in_usual_spelling, prompt_of


def read_text(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.txt`` file, a prompt on each line; the file's name is the category."""
    columns.refuse(source)
    with source.opening(), path.open("rb") as file:
        for number, line in enumerate(_lines(file, source), start=1):
            if "\r" in line:
                problem = (
                    f"{source.place(number)} holds a carriage return that ends no line: save the file with Unix or "
                    "Windows line ends; to keep one, write it as \\r in a .jsonl file"
                )
                raise PromptsError(problem)
            yield Prompt(line, category=source.category, id=source.id(number))


def read_json_lines(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.jsonl`` file, an object on each line."""
    with source.opening(), path.open("rb") as file:
        yield from _json_prompts(file, source, columns)


def read_standard_input(source: Source, columns: Columns) -> Iterator[Prompt]:
    """Read JSON Lines from standard input until it ends."""
    if sys.stdin is None:  # as where a service or a scheduler closes it
        problem = f"{source} is closed: send prompts to it, or name a file"
        raise PromptsError(problem)
    with source.opening():
        yield from _json_prompts(sys.stdin.buffer, source, columns)


def read_csv(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.csv`` file: a header, then a prompt on each row; a quoted value may hold commas, quotes, line ends."""
    with source.opening(), path.open("rb") as file:
        rows = csv_rows(file, source, error=PromptsError, prompts=True)
        first = next(rows, None)
        if first is None:
            raise source.empty()
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
            values: dict[str, str | None] = dict(zip(header, row, strict=True))
            for part in found.keys() & {"output", "image"}:  # a table of texts alone says in no other way: none
                values[found[part]] = values[found[part]] or None
            yield prompt_of(source, number, values, found)
        if not number:
            raise source.empty()


def _json_prompts(file: Iterable[bytes], source: Source, columns: Columns) -> Iterator[Prompt]:
    kinds: dict[str, type] = {}
    for number, line in enumerate(_lines(file, source), start=1):
        place = source.place(number)
        entry = _json_object(place, line)
        unknown = [] if columns.asked else [key for key in entry if in_usual_spelling(key) not in USUAL_NAMES]
        found = columns.find(place, entry)
        if unknown:  # With a misspelt "category" the file's name would silently be the category.
            problem = (
                f'{place} has an unknown key "{unknown[0]}": there are {", ".join(USUAL_NAMES)}; '
                f"to read some keys of many, name them: --text-column {found['text']}"
            )
            raise PromptsError(problem)
        prompt = prompt_of(source, number, entry, found)
        if "category" in found:
            kind = type(entry[found["category"]])
            if kinds.setdefault(prompt.category, kind) is not kind:  # 1 beside "1", true beside "true"
                problem = (
                    f"{place}: the category {prompt.category} is a text in one line, a number or a truth value in "
                    "another: write it in one way"
                )
                raise PromptsError(problem)
        yield prompt


def _json_object(place: str, line: str) -> dict[str, Any]:
    try:
        entry = strict_json.loads(line)
    except json.JSONDecodeError as error:
        ends = "; carriage returns alone end no line: save the file with Unix line ends" if "\r" in line else ""
        problem = f"{place} is not JSON ({error.msg} at column {error.colno}{ends})"
        raise PromptsError(problem) from error
    except ValueError as error:  # a key twice, an integer of thousands of digits, too deeply nested brackets
        problem = f"{place} cannot be read as JSON ({error})"
        raise PromptsError(problem) from error
    if not isinstance(entry, dict):
        problem = f"{place} holds {type(entry).__name__}, not an object with a text"
        raise PromptsError(problem)
    return entry


def _lines(file: Iterable[bytes], source: Source) -> Iterator[str]:
    """Yield each line without its end (Unix or Windows); a blank line, or a file without any, is an error."""
    number = 0
    texts = decoded(file, source, error=PromptsError, prompts=True)
    for number, text in enumerate(texts, start=1):
        bare = text.removesuffix("\n").removesuffix("\r")
        if is_blank(bare):
            if number == 1 and all(map(is_blank, texts)):
                raise source.empty()
            problem = f"{source.place(number)} is empty: delete the line, or write a prompt there"
            raise PromptsError(problem)
        yield bare
    if not number:
        raise source.empty()
