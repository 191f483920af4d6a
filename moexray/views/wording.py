"""Words that tables, sentences and figures share."""

import re
from collections.abc import Mapping

_CHOICES = {
    "measure": "similarity: {}",
    "layers": "layers: {}",
    "phase": "tokens: {}",
    "left_out": "left out: {}",
}


def choice_text(choice: str, value: str) -> str:
    """Return the name of one choice of a specification, such as ``layers: averaged``."""
    return _CHOICES.get(choice, f"{choice}: {{}}").format(value)


# Between parts of a key, not within a number.
_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")


def note_lines(notes: Mapping[str, str]) -> list[str]:
    """Return the notes of a result, one a line, with the names of all parts that a note is about.

    Examples
    --------
    >>> note_lines({"classifier": "there is one category only", "permutation": "there is one category only"})
    ['note: classifier; permutation: there is one category only']
    """
    parts = {note: [name_of(name) for name, other in notes.items() if other == note] for note in notes.values()}
    return [f"note: {'; '.join(names)}: {note}" for note, names in parts.items()]


def name_of(key: str) -> str:
    """Return the name of a part of a result, from its key in the JSON.

    Examples
    --------
    >>> name_of("controls.token_identity")
    'controls, token identity'
    >>> name_of("k at 62.5 %")
    'k at 62.5 %'
    """
    return ", ".join(part.replace("_", " ") for part in _DOT.split(key))
