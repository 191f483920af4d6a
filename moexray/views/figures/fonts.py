"""Fonts for names in any script: those of the machine, where the usual one lacks a letter."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

_USUAL = "DejaVu Sans"
# Draws boxes for every letter there is.
_NO_LETTERS = "Last Resort"


@contextmanager
def fonts_for(figure: Figure) -> Iterator[None]:
    """Give every text of a figure fonts that have its letters, and draw without a warning of letters that none has."""
    for text, letters in _lacking(figure):
        others = [name for name in _fonts_with(letters)[0] if name != _USUAL]
        if others:
            text.set_fontfamily([_USUAL, *others])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def letters_without_font(figure: Figure) -> str:
    """Return the letters of a figure that no font of the machine has, each once."""
    found = "".join(_fonts_with(letters)[1] for _, letters in _lacking(figure))
    return "".join(dict.fromkeys(found))


def _lacking(figure: Figure) -> Iterator[tuple[Text, str]]:
    """Yield the texts with letters that the usual font lacks, and these letters, in order."""
    usual = _letters_of(str(font_manager.findfont(_USUAL))) | {ord("\n")}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        letters = {letter for letter in text.get_text() if ord(letter) not in usual}
        if letters:
            yield text, "".join(sorted(letters))


@cache
def _fonts_with(letters: str) -> tuple[tuple[str, ...], str]:
    """Return fonts of the machine that have these letters, as few as a greedy choice takes, and the letters left."""
    chosen: list[str] = []
    left = set(letters)
    upright = {one.name: one.fname for one in font_manager.fontManager.ttflist if one.style == "normal"}
    for name in sorted(upright, key=lambda name: ("Sans" not in name, name)):
        if left and not name.startswith(_NO_LETTERS):
            there = {letter for letter in left if ord(letter) in _letters_of(upright[name])}
            chosen += [name] * bool(there)
            left -= there
    return tuple(chosen), "".join(letter for letter in letters if letter in left)


@cache
def _letters_of(path: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except RuntimeError:  # a font of pictures, which cannot be scaled, or a damaged one: it is not used
        return frozenset()
