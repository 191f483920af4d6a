"""How wide the columns of a table are on a screen, and which of them stand below the others where it is narrow."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from moexray.views.tables.table import Column, Table

# A word of a heading, or of text, that is longer may be broken where there is no room for it; so may three letters of a
# script that is written without spaces, which take two cells each.
_WORD, _WIDE_WORD = 12, 6

Measure = Callable[[str], int]


@dataclass(frozen=True)
class Band:
    """Columns that stand beside each other.

    Attributes
    ----------
    places
        Which columns of the table, in its order.
    widths
        Cells of the screen that each has.
    close
        Whether they stand a single cell apart.
    """

    places: tuple[int, ...]
    widths: tuple[int, ...]
    close: bool


@dataclass(frozen=True)
class _Needs:
    """The cells of the screen that a column takes in one line, and the fewest that break no number and no word."""

    natural: int
    least: int


def bands(table: Table, width: int, measure: Measure) -> Iterator[Band]:
    """Yield the columns of a table with headings: all of them, or, where they do not fit, some at a time.

    The columns that say what a row is come first in each, and a column that belongs to the one before it stays there.

    Parameters
    ----------
    table
        A table.
    width
        Cells of a line of the screen.
    measure
        How many of them a text takes.
    """
    needs = [_needs(column, texts, width, measure) for column, texts in _columns(table)]
    keys = [place for place, column in enumerate(table.columns) if column.key] or [0]
    if not _fits(needs, range(len(needs)), width):
        for place in keys:  # no reason to squeeze what stands in every part
            natural, least = needs[place].natural, needs[place].least
            needs[place] = _Needs(natural, max(least, min(natural, width // 3 // len(keys))))
    some = list(keys)
    for group in _groups(table.columns, keys):
        if len(some) > len(keys) and not _fits(needs, [*some, *group], width):
            yield _band(needs, some, width)
            some = list(keys)
        some += group
    yield _band(needs, some, width)


def grid_widths(table: Table, width: int, gap: int, measure: Measure) -> list[int]:
    """Return the width of each column of a table without headings."""
    needs = [_needs(column, texts, width, measure) for column, texts in _columns(table)]
    return _shared_out(needs, width - gap * (len(needs) - 1))


def _columns(table: Table) -> Iterator[tuple[Column, list[str]]]:
    """Yield each column with the lines of its cells."""
    for place, column in enumerate(table.columns):
        yield column, [line for row in table.rows for line in row[place].split("\n")]


def _groups(columns: Sequence[Column], keys: Sequence[int]) -> Iterator[list[int]]:
    """Yield the columns that are no keys, those that belong together in one list."""
    group: list[int] = []
    for place, column in enumerate(columns):
        if place in keys:
            continue
        if group and not column.belongs:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _needs(column: Column, texts: Sequence[str], width: int, measure: Measure) -> _Needs:
    cells = max(map(measure, texts), default=0)
    natural = min(width, max(cells, measure(column.name)))
    words = [*column.name.split(), *([] if column.numeric else (word for text in texts for word in text.split()))]
    least = max([column.least, *(_unbroken(word, measure(word)) for word in words)])
    if column.numeric or (column.whole and cells <= width // 2):
        least = max(least, cells)
    return _Needs(natural, min(least, natural))


def _unbroken(word: str, cells: int) -> int:
    return min(cells, _WORD if cells == len(word) else _WIDE_WORD)


def _fits(needs: Sequence[_Needs], places: Sequence[int], width: int) -> bool:
    return sum(needs[place].least for place in places) + len(places) + 1 <= width


def _band(needs: Sequence[_Needs], places: Sequence[int], width: int) -> Band:
    there = [needs[place] for place in places]
    close = sum(one.natural for one in there) + 2 * len(there) > width
    room = width - len(there) - 1 if close else width - 2 * len(there)
    return Band(tuple(places), tuple(_shared_out(there, room)), close)


def _shared_out(needs: Sequence[_Needs], room: int) -> list[int]:
    """Return widths that fit a room: the widest gives first, and none gives more than it can while another can."""
    widths = [one.natural for one in needs]
    for least in ([one.least for one in needs], [1] * len(needs)):
        while sum(widths) > room:
            able = [place for place, one in enumerate(widths) if one > least[place]]
            if not able:
                break
            widths[max(able, key=lambda place: (widths[place], place))] -= 1
    return widths
