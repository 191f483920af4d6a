"""Conversion of one row, of a file in any format, into a prompt: its source, its columns, its values."""

import reprlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from moexray.errors import PromptsError
from moexray.formats import is_blank
from moexray.prompts.image_values import images_of
from moexray.prompts.images import PromptImage
from moexray.prompts.prompt import Prompt, chat_prompt

Unit = Literal["line", "row"]

_USUAL = {
    "text": ("text", "prompt", "messages"),
    "category": ("category", "label"),
    "id": ("id",),
    "group": ("group",),
    "output": ("output",),
    "image": ("image", "images"),
}
USUAL_NAMES = tuple(name for names in _USUAL.values() for name in names)


@dataclass(frozen=True)
class Source:
    """A file, a stream or a data set.

    Attributes
    ----------
    name
        Its name in error messages.
    category
        The category of its prompts, where no column gives one.
    unit
        What a prompt is called in error messages: a line or a row.
    folder
        What the paths of images are relative to; None where there is nothing.
    """

    name: str
    category: str
    unit: Unit
    folder: Path | None = None

    def __str__(self) -> str:
        return self.name

    def place(self, number: int) -> str:
        """Name the place of a prompt, counted from 1."""
        return f"{self.name} {self.unit} {number}"

    def id(self, number: int) -> str:
        """Return the default id of a prompt, counted from 1."""
        return f"{self.category}-{number:02}"

    def empty(self) -> PromptsError:
        """Return the error of a source without a prompt."""
        return PromptsError(f"{self} is empty: there must be a prompt on each {self.unit}")

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Turn an OSError while reading into a `PromptsError` that names the source."""
        try:
            yield
        except OSError as error:
            problem = f"{self} could not be read: {error.strerror or error}"
            raise PromptsError(problem) from error


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; None stands for the usual name, an empty name of `image` for no images."""

    text: str | None = None
    category: str | None = None
    id: str | None = None
    group: str | None = None
    output: str | None = None
    image: str | None = None

    @property
    def asked(self) -> dict[str, str]:
        """The names that were asked for, by what the column holds."""
        return {part: name for part in _USUAL if (name := getattr(self, part)) is not None}

    def find(self, place: str, names: Iterable[str]) -> dict[str, str]:
        """Choose among the columns `names` those that hold the text and, if present, other parts of prompts.

        Raises
        ------
        PromptsError
            If a column that was asked for is missing, there is no text, or two columns could hold the same.
        """
        present = list(names)
        found = {}
        for part, usual in _USUAL.items():
            if part == "image" and self.image == "":
                continue
            asked = self.asked.get(part)
            fitting = self._fitting(part, present)
            twice = next((name for name in fitting if fitting.count(name) > 1), None)
            if twice is not None:
                problem = f'{place} has {fitting.count(twice)} columns called "{twice}": which holds the {part}? '
                problem += "Rename all but one"
                raise PromptsError(problem)
            if len(fitting) > 1:
                problem = f"{place} has {_listed(fitting)}: which holds the {part}? Name it with --{part}-column"
                raise PromptsError(problem)
            if not fitting and (asked is not None or part == "text"):
                problem = f"{place} has no {_listed(usual if asked is None else [asked], 'or')}: it has "
                problem += _listed(present) + ("" if asked else "; name the column of the texts with --text-column")
                raise PromptsError(problem)
            if fitting:
                found[part] = fitting[0]
        return found

    def _fitting(self, part: str, names: list[str]) -> list[str]:
        asked = self.asked
        if part in asked:
            return [name for name in names if name == asked[part]]
        usual = [name for name in names if in_usual_spelling(name) in _USUAL[part]]
        # A column already claimed by an option is not matched again, unless no other column can be the text.
        free = [name for name in usual if name not in asked.values()]
        return free or (usual if part == "text" else [])

    def refuse(self, source: Source) -> None:
        """Raise PromptsError if columns were asked for, of a source that has none."""
        for part, name in self.asked.items():
            if part == "image" and not name:
                continue
            problem = f'{source} is plain text and has no column "{name}": leave --{part}-column out'
            raise PromptsError(problem)


def in_usual_spelling(name: str) -> str:
    """Return a column's name in lower case and stripped, as `USUAL_NAMES` are written."""
    return name.strip().casefold()


def prompt_of(source: Source, number: int, row: Mapping[str, Any], columns: Mapping[str, str]) -> Prompt:
    """Make a prompt of a row.

    Parameters
    ----------
    source, number
        Where the row stands.
    row
        Values by column: text, integer or truth value; for the text also a list of messages, for the output one of
        token ids; for images see `moexray.prompts.image_values.images_of`.
    columns
        The column that holds ``text``, and those of other parts: see `Columns.find`.

    Raises
    ------
    PromptsError
        If a value is missing, blank, or of another type, or an image is not one that is read.
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
    output = _output(f'{place}: "{columns["output"]}"', row[columns["output"]]) if "output" in columns else None
    images: tuple[PromptImage, ...] = ()
    if "image" in columns:
        name = columns["image"]
        images = images_of(row[name], folder=source.folder, name=name, place=place)
    if isinstance(value, list):
        given: dict[str, Any] = {"category": category, "id": id_, "group": group, "output": output, "images": images}
        return chat_prompt(value, **given, folder=source.folder, place=place)
    if in_usual_spelling(columns["text"]) == "messages":
        problem = (
            f'{place}: "messages" is {reprlib.repr(value)}: it must be a list of objects with a role and a content'
        )
        raise PromptsError(problem)
    text = _text(f'{place}: "{columns["text"]}"', value)
    return Prompt(text, category, id_, group, output=output, images=images)


def _output(name: str, value: object) -> str | tuple[int, ...] | None:
    """Return an output: a text, which may be empty, or token ids; None where there is none."""
    if value is None:
        return None
    if isinstance(value, list):
        if all(isinstance(token, int) and not isinstance(token, bool) and token >= 0 for token in value):
            return tuple(value)
    elif isinstance(value, str):
        return _encodable(name, value)
    problem = f"{name} is {reprlib.repr(value)}: it must be a text, or a list of token ids"
    raise PromptsError(problem)


def _label(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(name, str(value) if isinstance(value, int) else value, also=", or a whole number")


def _text(name: str, value: object, *, also: str = "") -> str:
    if not isinstance(value, str) or is_blank(_encodable(name, value)):
        problem = f"{name} is {reprlib.repr(value)}: it must be a text that is not empty{also}"
        raise PromptsError(problem)
    return value


def _encodable(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"{name} holds an unpaired surrogate ({value[error.start]!r}), half a character: take it out"
        raise PromptsError(problem) from error
    return value


def _listed(names: Iterable[str], last: str = "and") -> str:
    quoted = [f'"{name}"' for name in names]
    return f" {last} ".join(filter(None, [", ".join(quoted[:-1]), *quoted[-1:]])) or "nothing"
