"""Prompts: read from text files, JSON Lines files and folders of them, or the eighty that come with moexray."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moexray.errors import PromptsError

_KEYS = ("text", "category", "id", "group")


@dataclass(frozen=True)
class Prompt:
    """One prompt: its text, the category that it stands for, a unique id, and what it must not be split from.

    Prompts of one `group` (a shared template or source) are kept together when a classifier's folds are made.
    """

    text: str
    category: str
    id: str
    group: str | None = None


def read_prompts(*paths: str | Path) -> list[Prompt]:
    """Read prompts in the order of `paths`, a folder's files in the order of their names.

    A ``.txt`` file holds one prompt a line; its name is their category, and a prompt's id is that name
    and the number of its line. A ``.jsonl`` file holds one object a line: ``text``, and where wanted
    ``category`` (otherwise the file's name), ``id`` (otherwise name and line) and ``group``.
    A byte-order mark and Windows line endings are accepted. A folder's other files and its
    subfolders are not read.

    Raises
    ------
    PromptsError
        If there is nothing to read, a line is blank or malformed, or an id occurs twice;
        says in which file and line.
    """
    if not paths:
        message = "no prompts were named: name a folder, a .txt or a .jsonl file"
        raise PromptsError(message)
    places: dict[str, str] = {}
    prompts: list[Prompt] = []
    for file in (file for path in paths for file in _files(Path(path))):
        for place, prompt in _READERS[file.suffix](file):
            if prompt.id in places:
                message = f"{place}: the id {prompt.id!r} is already taken by {places[prompt.id]}: ids must be unique"
                raise PromptsError(message)
            places[prompt.id] = place
            prompts.append(prompt)
    return prompts


def bundled_prompts() -> list[Prompt]:
    """Return the eighty prompts that come with moexray: code, factual, math and story, twenty of each."""
    package = Path(__file__).parent
    installed = package / "bundled_prompts"
    return read_prompts(installed if installed.is_dir() else package.parent / "prompts")


def _files(path: Path) -> list[Path]:
    try:
        return _prompt_files(path)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror}"
        raise PromptsError(message) from error


def _prompt_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in _READERS and file.is_file())
        if not found:
            message = f"{path} holds no .txt and no .jsonl file: put one there for each category"
            raise PromptsError(message)
        return found
    if not path.exists():
        message = f"{path} does not exist: name a folder, a .txt or a .jsonl file of prompts"
        raise PromptsError(message)
    if path.suffix not in _READERS:
        message = f"{path} is neither a folder nor a .txt nor a .jsonl file"
        raise PromptsError(message)
    return [path]


def _lines(file: Path) -> Iterator[tuple[str, int, str]]:
    """Yield the place, the number and the text of every line; refuse what is not UTF-8, blank, or nothing at all."""
    try:
        content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        message = f"{file} could not be read: {error.strerror}"
        raise PromptsError(message) from error
    if not content.strip():
        message = f"{file} is empty: write a prompt on each line, or delete the file"
        raise PromptsError(message)
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        place = f"{file} line {number}"
        try:
            text = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            message = f"{place} is not UTF-8 (byte {error.start + 1} of the line): save the file as UTF-8"
            raise PromptsError(message) from error
        if not text.strip():
            message = f"{place} is empty: delete the line, or write a prompt there"
            raise PromptsError(message)
        yield place, number, text


def _read_text(file: Path) -> Iterator[tuple[str, Prompt]]:
    for place, number, text in _lines(file):
        yield place, Prompt(text, category=file.stem, id=f"{file.stem}-{number:02}")


def _read_json_lines(file: Path) -> Iterator[tuple[str, Prompt]]:
    for place, number, line in _lines(file):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            message = f"{place} is not JSON ({error.msg} at column {error.colno})"
            raise PromptsError(message) from error
        if not isinstance(entry, dict):
            message = f"{place} holds {type(entry).__name__}, not an object with a text"
            raise PromptsError(message)
        _check_entry(place, entry)
        defaults = {"category": file.stem, "id": f"{file.stem}-{number:02}"}
        yield place, Prompt(**(defaults | entry))


def _check_entry(place: str, entry: dict[str, object]) -> None:
    if "text" not in entry:
        message = f'{place} has no "text"'
        raise PromptsError(message)
    for key, value in entry.items():
        if key not in _KEYS:
            message = f'{place} has an unknown key "{key}": there are {", ".join(_KEYS)}'
            raise PromptsError(message)
        if not isinstance(value, str) or not value.strip():
            message = f'{place}: "{key}" is {value!r}: it must be a text that is not empty'
            raise PromptsError(message)


_READERS = {".txt": _read_text, ".jsonl": _read_json_lines}
