"""Tables, and pages of them, as plain data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from moexray.formats import visible

# The text of a cell, or the texts of its lines.
Cell = str | Sequence[str]
# The heading of the intervals of the column before.
_INTERVAL = "95 %"
Tone = Literal["good", "fair", "bad", "faint", "lead1", "lead2", "lead3", "lead4", "lead5", "lead6", "lead7"]


@dataclass(frozen=True)
class Column:
    """How a column is shown.

    Attributes
    ----------
    name
        Its heading.
    numeric
        Whether its cells are numbers: they stand flush right and are never broken into lines.
    whole
        Whether its cells are not broken into lines, unless one takes more than half of the screen.
    least
        Characters that it keeps where a screen is narrow.
    key
        Whether it says what a row is, so that a table that goes on below itself shows it again. Without any, the first.
    beside
        Whether it belongs to the column before it and stays beside it; so does an interval, which is headed 95 %.
    tones
        The tone of a cell's line, by its text without parentheses.
    """

    name: str = ""
    numeric: bool = False
    whole: bool = False
    least: int = 0
    key: bool = False
    beside: bool = False
    tones: Mapping[str, Tone] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", visible(self.name))

    @property
    def belongs(self) -> bool:
        """Whether it belongs to the column before it."""
        return self.beside or self.name == _INTERVAL


@dataclass(frozen=True, init=False)
class Table:
    """A title, columns, and rows of finished text.

    Control and bidirectional characters become visible here, so nobody who makes a table has to think of them.

    Attributes
    ----------
    title
        What the table shows; empty where its place says so.
    columns
        As many as a row has cells.
    rows
        Texts; the lines of a cell are separated by line breaks.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __init__(self, title: str, columns: Iterable[Column | str], rows: Iterable[Sequence[Cell]]) -> None:
        headed = tuple(Column(one) if isinstance(one, str) else one for one in columns)
        made = tuple(tuple(map(_text, row)) for row in rows)
        for row in made:
            if len(row) != len(headed):
                message = f"a row has {len(row)} cells for {len(headed)} columns"
                raise ValueError(message)
        object.__setattr__(self, "title", visible(title))
        object.__setattr__(self, "columns", headed)
        object.__setattr__(self, "rows", made)

    @property
    def headed(self) -> bool:
        """Whether any column has a name."""
        return any(column.name for column in self.columns)


@dataclass(frozen=True, init=False)
class Page:
    """A title, then tables and lines of text in their order; control characters become visible, as in a table."""

    title: str
    blocks: tuple[str | Table, ...]

    def __init__(self, title: str, *blocks: str | Table) -> None:
        object.__setattr__(self, "title", visible(title))
        object.__setattr__(self, "blocks", tuple(visible(one) if isinstance(one, str) else one for one in blocks))


def _text(cell: Cell) -> str:
    return visible(cell) if isinstance(cell, str) else "\n".join(map(visible, cell))
