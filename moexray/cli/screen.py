"""What standard output and standard error show of what they are given: remarks or none, in colour or plain."""

import os
import sys
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


# A narrower screen has cells without room for a letter, which would not be printed: it breaks longer lines itself.
LEAST_WIDTH = 20
# Where COLUMNS is 0, as a terminal says that does not know.
_UNKNOWN_WIDTH = 80


class Color(StrEnum):
    """When colours are printed."""

    auto = "auto"
    always = "always"
    never = "never"


class _Asked:
    """What this command line asks for. Options set it, and nothing else does."""

    quiet = False
    color = Color.auto


def forget() -> None:
    """Take back what an earlier command line of this process asked for."""
    _Asked.quiet, _Asked.color = False, Color.auto


def is_quiet() -> bool:
    """Whether remarks and progress are left out."""
    return _Asked.quiet


def color() -> Color:
    """Return when colours are printed, by the option, then NO_COLOR, then FORCE_COLOR; an empty variable is none."""
    if _Asked.color is not Color.auto:
        return _Asked.color
    if os.environ.get("NO_COLOR"):
        return Color.never
    return Color.always if os.environ.get("FORCE_COLOR") else Color.auto


def is_terminal(*, err: bool = False) -> bool:
    """Whether an output is a terminal: colours that are forced make none of a file. TTY_COMPATIBLE decides if set."""
    stream = sys.stderr if err else sys.stdout
    return {"0": False, "1": True}.get(os.environ.get("TTY_COMPATIBLE", ""), stream is not None and stream.isatty())


def console(*, err: bool = False) -> "Console":
    """Return a console that shows text as it is: names may look like markup, and numbers have no colours."""
    from rich.console import Console

    made = partial(Console, stderr=err, highlight=False, markup=False, emoji=False)
    wanted, terminal = color(), is_terminal(err=err)
    if wanted is Color.never:
        shown = made(color_system=None, force_terminal=terminal)
    elif wanted is Color.auto:
        shown = made(force_terminal=terminal)
    else:
        many = made(no_color=False, force_terminal=True).color_system == "truecolor"
        shown = made(no_color=False, force_terminal=terminal, color_system="truecolor" if many else "256")
    if shown.width < LEAST_WIDTH:
        shown.width = LEAST_WIDTH if shown.width else _UNKNOWN_WIDTH
    return shown


def _be_quiet(wanted: bool | None) -> None:  # noqa: FBT001  # typer calls it so
    if wanted:
        _Asked.quiet = True


def _take_color(wanted: Color | None) -> None:
    if wanted is not None:
        _Asked.color = wanted


def prepare_help() -> None:
    """Let help texts have colours as all else has: their console is made of two names of typer's."""
    from typer import rich_utils

    wanted = color()
    rich_utils.COLOR_SYSTEM = None if wanted is Color.never else "auto"
    rich_utils.FORCE_TERMINAL = True if wanted is Color.always else None


_PANEL = "Output"

# Of the program and of every command: they may stand before its name and after.
QuietOption = Annotated[
    bool | None,
    typer.Option(
        "--quiet",
        "-q",
        callback=_be_quiet,
        expose_value=False,
        help="Print results and errors alone.",
        rich_help_panel=_PANEL,
    ),
]
ColorOption = Annotated[
    Color | None,
    typer.Option(
        "--color",
        callback=_take_color,
        is_eager=True,
        expose_value=False,
        metavar="WHEN",
        help="Colours: auto (on a terminal), always, never.",
        rich_help_panel=_PANEL,
    ),
]
