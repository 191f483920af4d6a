"""How numbers, lists and text from outside are written, wherever they are shown.

Minus signs are ASCII, so that a number can be copied into any program.
"""

import json
import unicodedata
from collections.abc import Callable, Sequence

MISSING = "–"
_MOST_LISTED = 8

# Joiners are part of emoji and of several scripts; all other format characters could hide or reorder text.
_JOINERS = "\u200c\u200d"
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_TOKENS = {"all": "prompt and generated tokens", "prompt": "prompt tokens", "generated": "generated tokens"}


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return a number with a fixed number of decimals; a dash where there is none.

    Examples
    --------
    >>> number(0.7834), number(0.7834, 3, signed=True), number(None)
    ('0.78', '+0.783', '–')
    """
    return MISSING if value is None else f"{value:{'+' if signed else ''}.{digits}f}"


def percent(share: float | None) -> str:
    """Return a share as a percentage with one decimal."""
    return MISSING if share is None else f"{100 * share:.1f} %"


def points(difference: float | None) -> str:
    """Return a difference of shares in percentage points, signed, with one decimal."""
    return MISSING if difference is None else f"{100 * difference:+.1f}"


def interval(
    ends: Sequence[float] | None, digits: int = 2, *, signed: bool = False, write: Callable[[float], str] | None = None
) -> str:
    """Return an interval in brackets; nothing where there is none.

    Parameters
    ----------
    ends
        Its lower and its upper end.
    digits, signed
        How `number` writes the ends.
    write
        Another way to write them, such as `percent`.

    Examples
    --------
    >>> interval((0.466, 1.0941)), interval((0.1, 0.2), write=percent)
    ('[0.47, 1.09]', '[10.0 %, 20.0 %]')
    """
    if ends is None:
        return ""
    low, high = (number(end, digits, signed=signed) if write is None else write(end) for end in ends)
    return f"[{low}, {high}]"


def estimate(
    value: float | None,
    ends: Sequence[float] | None,
    digits: int = 2,
    *,
    signed: bool = False,
    write: Callable[[float | None], str] | None = None,
) -> str:
    """Return a value and its interval, as `number` or `write` and `interval` write them.

    Examples
    --------
    >>> estimate(0.7834, (0.466, 1.0941)), estimate(0.25, None, write=percent)
    ('0.78 [0.47, 1.09]', '25.0 %')
    """
    text = number(value, digits, signed=signed) if write is None else write(value)
    return " ".join(filter(None, (text, interval(ends, digits, signed=signed, write=write))))


def runs(layers: Sequence[int]) -> str:
    """Return numbers with runs of neighbours joined: ``1-3, 7``."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def span(
    first: tuple[float | None, Sequence[float] | None],
    second: tuple[float | None, Sequence[float] | None],
    *,
    write: Callable[[float | None], str],
) -> str:
    """Return the two ends of a range, each with its interval, the smaller first; the first alone if no second is known.

    Examples
    --------
    >>> span((0.39, (0.3, 0.5)), (0.17, None), write=percent)
    '17.0 % to 39.0 % [30.0 %, 50.0 %]'
    """
    ends = [one for one in (first, second) if one[0] is not None]
    return " to ".join(estimate(*one, write=write) for one in sorted(ends, key=lambda one: one[0] or 0.0))


def p_text(p: float | None) -> str:
    """Return ``p < 0.001`` or ``p = `` with three decimals."""
    if p is None:
        return "p not computed"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def p_value(p: float | None) -> str:
    """Return what `p_text` does, without the letter: for a column of p-values."""
    return MISSING if p is None else p_text(p).removeprefix("p ").removeprefix("= ")


def count(number_of: int, thing: str) -> str:
    """Return a number of things, the thing's name in the plural where it is not one.

    Examples
    --------
    >>> count(1, "prompt"), count(2945, "prompt")
    ('1 prompt', '2,945 prompts')
    """
    return f"{number_of:,} {thing}{'' if number_of == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as an enumeration.

    Examples
    --------
    >>> listed(["code", "math", "story"])
    'code, math and story'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def categories_text(names: Sequence[str]) -> str:
    """Return the names of categories, or their number where they would not fit a line.

    Examples
    --------
    >>> categories_text(["code", "math"]), categories_text([str(i) for i in range(200)])
    ('code and math', '200 categories')
    """
    return listed(names) if len(names) <= _MOST_LISTED else f"{len(names):,} categories"


def tokens_text(selector: str) -> str:
    """Return the name of the tokens that a selector takes, such as ``generated tokens``."""
    return _TOKENS.get(selector, f"{selector} tokens")


def token_text(selector: str) -> str:
    """Return the name of one of the tokens that a selector takes, such as ``image token``; ``token`` for ``all``."""
    return "token" if selector == "all" else f"{selector} token"


def visible(text: str) -> str:
    r"""Return a text with its control, bidirectional and other invisible characters written as escapes.

    Text from prompts, models and files passes here before it is shown: such characters could move a terminal's
    cursor, or make a name look like another.

    Examples
    --------
    >>> visible("story\x1b[2J"), visible("a\u202eb")
    ('story\\x1b[2J', 'a\\u202eb')
    """
    return text if text.isascii() and text.isprintable() else _escaped(text, _as_python)


def without_invisible(text: str) -> str:
    r"""Return a text without the characters that `visible` would escape, but for white space.

    Examples
    --------
    >>> without_invisible("sto\u200bry\ufeff"), without_invisible("a\tb")
    ('story', 'a\tb')
    """
    if text.isascii() and text.isprintable():
        return text
    pairs = zip("\n" + text, text, strict=False)
    return "".join(letter for before, letter in pairs if letter.isspace() or not _is_invisible(before, letter))


def is_blank(text: str) -> bool:
    r"""Whether a text holds nothing but white space and characters without a width.

    Examples
    --------
    >>> is_blank(" \u200b\n"), is_blank("a"), is_blank("\x1b")
    (True, False, False)
    """
    return all(letter.isspace() or unicodedata.category(letter) == "Cf" for letter in text)


def in_plain_spelling(text: str) -> str:
    r"""Return a name without what nobody can see: invisible characters, kinds of spaces, how an accent is made.

    Examples
    --------
    >>> in_plain_spelling("sto\u200bry  one ") == in_plain_spelling("story\xa0one")
    True
    """
    return " ".join(without_invisible(unicodedata.normalize("NFC", text)).split())


def visible_json(text: str) -> str:
    r"""Return a JSON text with the same values, whose invisible characters are written as JSON's escapes.

    Examples
    --------
    >>> visible_json('{"name": "a\u202eb"}')
    '{"name": "a\\u202eb"}'
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "\n".join(_escaped(line, _as_json) for line in text.split("\n"))


def _escaped(text: str, write: Callable[[str], str]) -> str:
    pairs = zip("\n" + text, text, strict=False)
    return "".join(write(letter) if _is_invisible(before, letter) else letter for before, letter in pairs)


def _is_invisible(before: str, letter: str) -> bool:
    """Whether nobody would see a character; a joiner belongs to the letter or the picture before it."""
    if letter in _JOINERS:
        return before.isascii() or _has_no_look(before)
    return _has_no_look(letter)


def _has_no_look(letter: str) -> bool:
    return unicodedata.category(letter) in _INVISIBLE or _is_noncharacter(ord(letter))


def _is_noncharacter(code: int) -> bool:
    """Whether a code never stands for a character: no XML, and so no SVG, may hold U+FFFE and U+FFFF."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _as_python(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _as_json(letter: str) -> str:
    return json.dumps(letter).strip('"') if letter != "\x7f" else "\\u007f"
