"""Print the reference of all commands, from the functions that the command line is made of.

`python scripts/command_reference.py > docs/commands.md` makes the page.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from moexray.cli.main import COMMANDS, everywhere, function_of

INTRODUCTION = """\
# Command reference

`moexray COMMAND --help` prints the same in the terminal. This page is made by \
`python scripts/command_reference.py > docs/commands.md`.
"""
ANYWHERE = (
    "## Every command\n",
    "These may stand before the name of the command and after it; [terminal.md](terminal.md) says what they change.\n",
)
VALUES = {int: "number", float: "number", str: "text", Path: "path"}


def main() -> None:
    """Print the page."""
    typer.echo(reference(), nl=False)


def reference() -> str:
    """Return the page as Markdown."""
    functions = [function_of(name) for name in COMMANDS]
    shared = [*ANYWHERE, *tables(everywhere)]
    return "\n".join([INTRODUCTION, *shared, *(part for function in functions for part in section(function))])


def section(function: Callable[..., None]) -> Iterator[str]:
    """Yield the parts of one command: what it does, its examples, its arguments and options."""
    yield f"## moexray {function.__name__.rstrip('_')}\n"
    for paragraph in (inspect.getdoc(function) or "").split("\n\n"):
        sentence = " ".join(paragraph.replace("\b", "").replace("\f", "").split())
        examples = re.fullmatch(r"Examples?: (.*)", sentence)
        yield "```sh\n{}\n```\n".format(examples[1].replace("; ", "\n")) if examples else f"{sentence}\n"
    yield from tables(function)


def tables(function: Callable[..., None]) -> Iterator[str]:
    """Yield a table of each panel of a command's arguments and options."""
    panels: dict[str, list[str]] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        annotation, info = get_args(parameter.annotation)
        if not info.hidden:
            usual = "Arguments" if isinstance(info, ArgumentInfo) else "Options"
            panels.setdefault(info.rich_help_panel or usual, []).append(row(parameter, annotation, info))
    for title, rows in panels.items():
        yield "\n".join([f"| {title} | value | default | meaning |", "|---|---|---|---|", *rows, ""])


def row(parameter: inspect.Parameter, annotation: Any, info: ArgumentInfo | OptionInfo) -> str:
    """Return a parameter as a row: its names, the kind of its value, its default, and what it means."""
    plain = without_none(annotation)
    if isinstance(info, ArgumentInfo):
        names = [(info.metavar or parameter.name).upper()]
    else:
        declared = (info.default, *(info.param_decls or ()))  # typer keeps the first name as the default
        names = [one for one in declared if isinstance(one, str)] or [f"--{parameter.name.replace('_', '-')}"]
        names = [name for one in names for name in one.split("/")]
    default = ""
    if parameter.default is inspect.Parameter.empty:
        default = "required"
    elif plain is not bool and parameter.default not in (None, ()):
        default = f"`{parameter.default}`"
    cells = [", ".join(f"`{name}`" for name in names), kind(plain), default, info.help or ""]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def without_none(annotation: Any) -> Any:
    """Return the type of an optional value."""
    some = [part for part in get_args(annotation) if part is not NoneType]
    return some[0] if NoneType in get_args(annotation) and len(some) == 1 else annotation


def kind(annotation: Any) -> str:
    """Return the choices of a value, or what it is; nothing for a flag."""
    if annotation is bool:
        return ""
    if get_origin(annotation) in (list, tuple):
        return f"{kind(get_args(annotation)[0])}, repeatable"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{choice.value}`" for choice in annotation)
    return VALUES[annotation]


if __name__ == "__main__":
    main()
