"""Tables and text on a terminal."""

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from moexray.cli.encoded import in_json
from moexray.cli.screen import LEAST_WIDTH, console, is_quiet, is_terminal
from moexray.formats import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from moexray.studies.results import Result
    from moexray.views.prompt_tokens import Run
    from moexray.views.tables.table import Column, Page, Table

# M. Okabe and K. Ito, Color Universal Design (2008), with the letters that stand out more on each.
_LEADS = {
    "lead1": "#ffffff on #0072b2",
    "lead2": "#000000 on #d55e00",
    "lead3": "#000000 on #009e73",
    "lead4": "#000000 on #cc79a7",
    "lead5": "#000000 on #56b4e9",
    "lead6": "#000000 on #e69f00",
    "lead7": "#000000 on #f0e442",
}
# From faint to strong.
_WEIGHTS = {
    "weight1": "#000000 on #fee8c8",
    "weight2": "#000000 on #fdbb84",
    "weight3": "#000000 on #e8743b",
    "weight4": "#ffffff on #99000d",
}
# Cells between two columns without headings.
_GAP = 2
_STYLES = {"good": "green", "fair": "yellow", "bad": "red", "faint": "dim", **_LEADS}
_TINTS = {**_LEADS, **_WEIGHTS, "other": "bright_black", "plain": ""}


def print_table(table: "Table") -> None:
    """Print a table under its title, as wide as the screen at most."""
    screen = console()
    if table.title:
        screen.print(table.title)
    for part in _headed(table, screen.width) if table.headed else [_grid(table, screen.width)]:
        screen.print(part)


def print_page(page: "Page") -> None:
    """Print the title, the lines and the tables of a page; blank lines part text from a table without headings."""
    screen = console()
    if page.title:
        screen.print(page.title)
    text_before = bool(page.title)
    grid_before = False
    for block in page.blocks:
        is_text, is_grid = isinstance(block, str), not isinstance(block, str) and not block.headed
        if (is_grid and text_before) or (is_text and grid_before):
            screen.print()
        if isinstance(block, str):
            screen.print(block)
        else:
            print_table(block)
        text_before, grid_before = is_text, is_grid


def shows_colours(screen: "Console") -> bool:
    """Whether the reader can tell tints apart: on a terminal of 256 colours or more, unless NO_COLOR is set."""
    return screen.color_system in ("256", "truecolor") and not screen.no_color


def tinted(runs: Iterable["Run"], *, numbers: bool, plain: bool) -> "Text":
    """Return tinted text.

    Parameters
    ----------
    runs
        The text.
    numbers
        Whether the number of each stands beside it.
    plain
        Whether to write ASCII in place of marks that are not the text's own.
    """
    from rich.text import Text

    from moexray.views.prompt_tokens import raised

    found = Text()
    for run in runs:
        text = (
            run.text.replace("⏎", "\\n").replace("⇥", "\\t").replace("×", "x").replace("…", "...")
            if plain
            else run.text
        )
        said = text.rstrip("\n")  # a number stands before a break at the end of its token
        found.append(said, style=f"{_TINTS[run.tone]}{' underline' if run.written else ''}".strip())
        if numbers and run.beside:
            found.append(run.beside.replace("–", "-").replace("×", "x") if plain else raised(run.beside), style="dim")
        found.append(text[len(said) :])
    return found


def print_text(text: "Text | str" = "") -> None:
    """Print text that was made visible before; long lines are broken between words."""
    console().print(text)


def print_json(values: Any) -> None:
    """Print JSON values; what no terminal should meet is written as escapes, which are the same values."""
    typer.echo(in_json(visible_json(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False))))


def print_result(result: "Result") -> None:
    """Print the JSON file of a result, with escapes as `print_json` writes them."""
    typer.echo(in_json(visible_json(result.to_json())), nl=False)


def say(text: str, *, err: bool = False) -> None:
    """Print a line; control and bidirectional characters become visible.

    Parameters
    ----------
    text
        The line.
    err
        Whether it is a remark, which stands on standard error and is left out by ``--quiet``.
    """
    if not (err and is_quiet()):
        typer.echo(visible(text), err=err)


def say_error(text: str) -> None:
    """Print a line on standard error that ``--quiet`` leaves: why a command ended early.

    A terminal gets it in lines that end between words; elsewhere it is one line, to search for.
    """
    shown = visible(text)
    if is_terminal(err=True):
        width = shutil.get_terminal_size().columns
        shown = textwrap.fill(shown, max(width, LEAST_WIDTH), break_long_words=False, break_on_hyphens=False)
    typer.echo(shown, err=True)


def _headed(table: "Table", width: int) -> Iterator["RichTable"]:
    """Yield a table with headings, in as many parts as it takes to break no number and no heading."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table as RichTable

    from moexray.cli.layout import bands

    for band in bands(table, width, cell_len):
        shown = RichTable(box=box.SIMPLE_HEAD, padding=(0, int(not band.close), 0, 0), pad_edge=False)
        columns = [table.columns[place] for place in band.places]
        for column, wide in zip(columns, band.widths, strict=True):
            shown.add_column(column.name, justify="right" if column.numeric else "left", width=wide, overflow="fold")
        for row in table.rows:
            shown.add_row(*(_toned(row[place], table.columns[place]) for place in band.places))
        yield shown


def _grid(table: "Table", width: int) -> "RichTable":
    from rich.cells import cell_len
    from rich.table import Table as RichTable

    from moexray.cli.layout import grid_widths

    shown = RichTable.grid(padding=(0, _GAP, 0, 0))
    for wide in grid_widths(table, width, _GAP, cell_len):
        shown.add_column(width=wide, overflow="fold")
    for row in table.rows:
        shown.add_row(*map(_toned, row, table.columns))
    return shown


def _toned(cell: str, column: "Column") -> "Text":
    from rich.text import Text

    text = Text()
    for i, line in enumerate(cell.split("\n")):
        tone = column.tones.get(line.strip("()"))
        text.append("\n" if i else "").append(line, style=_STYLES[tone] if tone else None)
    return text
