"""From a row of a file, whatever its format, to a prompt."""

import reprlib
import sys
from collections.abc import Mapping
from typing import Any

from moexray.errors import PromptsError
from moexray.prompts.chats import chat_prompt
from moexray.prompts.columns import in_usual_spelling
from moexray.prompts.prompt import Prompt
from moexray.prompts.source import Source


def prompt_of(source: Source, number: int, row: Mapping[str, Any], columns: Mapping[str, str]) -> Prompt:
    """Make a prompt of a row.

    Parameters
    ----------
    source, number
        Where it stands.
    row
        Values by column: texts, whole numbers and truth values, or messages for the text.
    columns
        Which column holds ``text``, ``category``, ``id`` and ``group``: see `Columns.find`.

    Raises
    ------
    PromptsError
        If a value is missing, blank, or of another kind.
    """
    place = source.place(number)

    def label(part: str) -> str | None:
        if part not in columns or (part == "group" and row[columns[part]] in (None, "")):
            return None
        return _label(f'{place}: "{columns[part]}"', row[columns[part]])

    # Many prompts share a category: one string for all of them.
    category = sys.intern(label("category") or source.category)
    id_, group = label("id") or source.id(number), label("group")
    value = row[columns["text"]]
    if isinstance(value, list):
        return chat_prompt(value, category=category, id=id_, group=group, place=place)
    if in_usual_spelling(columns["text"]) == "messages":
        problem = (
            f'{place}: "messages" is {reprlib.repr(value)}: it must be a list of objects with a role and a content'
        )
        raise PromptsError(problem)
    return Prompt(_text(f'{place}: "{columns["text"]}"', value), category, id_, group)


def _label(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(name, str(value) if isinstance(value, int) else value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        problem = f"{name} is {reprlib.repr(value)}: it must be a text that is not empty"
        raise PromptsError(problem)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"{name} holds half a character ({value[error.start]!r}), which no text can hold: take it out"
        raise PromptsError(problem) from error
    return value
