"""Tables as a page has them: the rows that it shows, and all of them where these are too many."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from moexray.formats import count
from moexray.views.report.encoding import Block, json_block
from moexray.views.tables.table import Column, Table

# What is shown of a table: a page stays one that a reader, and a browser, can go through.
MOST_ROWS, MOST_CELLS = 200, 4000
# Characters of a line that is a text.
LONG = 40


@dataclass(frozen=True)
class StillTable:
    """A table that stands in a page before any script.

    Attributes
    ----------
    name
        Its anchor, and the name of the block that holds all rows.
    label
        What it is called by those who do not see it.
    title, columns, headed
        As of `Table`.
    rows
        The rows that are shown.
    every
        How many there are.
    block
        All of them, where only a part is shown.
    """

    name: str
    label: str
    title: str
    columns: tuple[Column, ...]
    headed: bool
    rows: tuple[tuple[str, ...], ...]
    every: int
    block: Block | None

    @cached_property
    def texts(self) -> frozenset[int]:
        """The columns that hold long texts, which need room to be read."""
        return frozenset(
            place
            for place, cells in enumerate(zip(*self.rows, strict=True))
            if any(len(line) > LONG for cell in cells for line in cell.split("\n"))
        )

    @property
    def remark(self) -> str | None:
        """What of the table is shown; None where all of it is."""
        if self.block is None:
            return None
        return f"The first {len(self.rows):,} of {count(self.every, 'row')} are shown; the table that is saved has all."


def still_table(table: Table, name: str, label: str, *, most: int | None = None) -> StillTable:
    """Return a table as it stands in a page.

    Parameters
    ----------
    table
        Of any length.
    name
        Its anchor, which no other table of the page has.
    label
        What it is called where it has no title of its own.
    most
        How many of its rows are shown; by default `MOST_ROWS`, and fewer where they are wide.
    """
    if most is None:
        most = max(1, min(MOST_ROWS, MOST_CELLS // max(1, len(table.columns))))
    whole = len(table.rows) <= most
    return StillTable(
        name=name,
        label=table.title or label,
        title=table.title,
        columns=table.columns,
        headed=table.headed,
        rows=table.rows[:most],
        every=len(table.rows),
        block=None if whole else later_block(name, [list(row) for row in table.rows]),
    )


def later_block(name: str, values: Any) -> Block:
    """Return JSON values as a block that a page unpacks only when they are asked for."""
    block = json_block(name, values)
    return Block(block.name, {**block.form, "later": True}, block.text)
