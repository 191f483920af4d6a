"""Tables and pages in Markdown."""

import re

from moexray.views.tables.table import Page, Table

# A tag, a link's target and what a cell or a span of code would end at; a plain "<" before a number stays.
_SPECIAL = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])\(|[\\|`*]")


def markdown_page(page: Page) -> str:
    """Return the title as a heading, then lines and tables, each a block of its own."""
    title = [f"# {_escaped(page.title)}\n"] if page.title else []
    blocks = [f"{_escaped(block)}\n" if isinstance(block, str) else markdown(block) for block in page.blocks]
    return "\n".join([*title, *blocks])


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, its title in bold above it; no text can turn into markup."""
    title = [f"**{_escaped(table.title)}**", ""] if table.title else []
    names = [_escaped(column.name) for column in table.columns]
    lines = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [[_escaped(cell) for cell in row] for row in table.rows]
    return "\n".join([*title, _row(names), f"|{'|'.join(lines)}|", *map(_row, rows), ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found.group()}", " ".join(text.split()))
