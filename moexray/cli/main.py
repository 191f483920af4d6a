"""The command line: the list of its commands, and the one place where errors become a line and a status."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from moexray.errors import MoexrayError
from moexray.formats import visible
from moexray.version import __version__

# Each is a function of its name, in a module of its name.
COMMANDS = (
    "demo",
    "capture",
    "analyze",
    "plot",
    "claims",
    "experts",
    "compare",
    "info",
    "merge",
    "models",
)
# Other spellings of options.
_ALIASES = {"--phase": "--tokens"}


class _LazyGroup(TyperGroup):
    """The commands by name: a module is imported when its command is run, or asked for its own help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name) for name in COMMANDS}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return an outline for the list of commands: it tells what the command does, but cannot do it."""
        command = self.commands.get(cmd_name)
        if command is not None:
            command.help = _summary(cmd_name)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that these arguments are for, and what remains of them."""
        name, _, remaining = super().resolve_command(ctx, args)
        return name, _command(str(name)), [_spelled(one) for one in remaining]


def _command(name: str) -> Any:
    alone = typer.Typer(add_completion=False)
    alone.command(name)(getattr(import_module(f"moexray.cli.{name}"), name))
    return typer.main.get_command(alone)


def _spelled(argument: str) -> str:
    option, equals, value = argument.partition("=")
    return _ALIASES.get(option, option) + equals + value


def _summary(name: str) -> str:
    """Read the first paragraph of a command's docstring without running its module."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    return (ast.get_docstring(function) or "").split("\n\n")[0]


app = typer.Typer(
    name="moexray",
    cls=_LazyGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="The usual way: moexray capture --prompts prompts/, then moexray analyze, then moexray plot --all.",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it so
    if wanted:
        typer.echo(f"moexray {__version__}")
        raise typer.Exit


@app.callback()
def describe(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Record what the routers of a Mixture-of-Experts model do, and test whether it means anything."""


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, and exit status 1, or 2 for wrong usage."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except MoexrayError as error:
        _fail(_with_options(str(error)), status=1)
    except typer.TyperException as error:
        _fail(f"{error.format_message()} (--help says what there is)", status=error.exit_code)


def _with_options(message: str) -> str:
    """Write parameters in backticks as options of the command that failed: ``raw=True`` becomes --raw.

    The library names its parameters; only the command line knows which options they are here.
    """
    name = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    if "`" not in message or name not in COMMANDS:
        return message
    flags = {parameter.name: [*parameter.opts, *parameter.secondary_opts] for parameter in _command(name).params}

    def option(found: re.Match[str]) -> str:
        parameter, value = found[1], found[2]
        if not any(flag.startswith("--") for flag in flags.get(parameter, ())):
            return found[0]
        if value in ("True", "False", None):
            return str(flags[parameter][-1 if value == "False" else 0])
        return f"{flags[parameter][0]} {value.strip(chr(34))}"

    return re.sub(r"`(\w+)(?:=([^`]+))?`", option, message)


def _fail(message: str, *, status: int) -> None:
    typer.echo(f"error: {visible(' '.join(message.split()))}", err=True)
    sys.exit(status)
