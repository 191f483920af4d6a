"""Output whose encoding lacks a character, as in a pipe on Windows: marks are spelled in ASCII, the rest escaped."""

import codecs
import re
import sys

_HANDLER = "moexray.spell"
# What fails for a character that an encoding lacks; the second is what Python has in the locale C.
_FAIL = ("strict", "surrogateescape")
_MARKS = {"–": "-", "−": "-", "×": "x", "±": "+-", "≤": "<=", "≥": ">=", "≈": "~", "…": "...", "·": ".", "→": "->"}


def spell_out() -> None:
    """Let standard output write every text, whatever its encoding lacks: a result is worth more than its dashes."""
    codecs.register_error(_HANDLER, _spelled)
    if not holds_all() and getattr(sys.stdout, "errors", "") in _FAIL:
        sys.stdout.reconfigure(errors=_HANDLER)  # type: ignore[union-attr]


def holds_all() -> bool:
    """Whether standard output has an encoding that lacks no character, or has none as it is no file."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")


def in_json(text: str) -> str:
    """Return JSON whose strings hold ASCII alone, where standard output may lack a character: the same values."""
    return text if holds_all() else re.sub(r"[^\x00-\x7f]", lambda found: _escaped(found[0]), text)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_MARKS.get(one) or _escaped(one) for one in lacking), error.end


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
