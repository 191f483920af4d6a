"""The command line: the list of its commands, and the one place where errors become a line and a status."""

import errno
import keyword
import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from moexray.cli import screen
from moexray.cli.encoded import spell_out
from moexray.cli.render import say_error
from moexray.cli.screen import ColorOption, QuietOption
from moexray.errors import MoexrayError
from moexray.version import __version__

# Each is a function of its name, in a module of its name (see `python_name`), and the first sentence of its help: the
# list of commands is shown without importing them.
COMMANDS = {
    "demo": "Capture, analyze and draw 80 prompts with the small model that comes with moexray, offline.",
    "capture": "Run prompts through a model and record which experts every token was sent to.",
    "analyze": "Test whether routing signatures carry the categories of their prompts.",
    "plot": "Draw figures of an analysis or of another study.",
    "report": "Write a page to explore an analysis in: one HTML file that needs no network.",
    "show": "Show a prompt's tokens, tinted by the experts of a layer.",
    "claims": "Check published claims: the value here, the test that decides, and a verdict.",
    "experts": "Describe what experts do: their load, the categories they get more of, their tokens and partners.",
    "batch": "Count the distinct experts that a decoding step reads, by the size of the batch, from a trace.",
    "coverage": "Find the experts that prompts seldom reach, and whether other prompts would rank experts alike.",
    "kinds": "Compare the routing of two kinds of tokens, as text and image, or prompt and generated.",
    "cache": "Say how much expert memory buys how few misses, by capacity and policy of a cache, from a trace.",
    "budget": "Measure what fewer experts a token cost a model, in loss, changed text and time, by running it.",
    "compare": "Compare the routing of two models, checkpoints or precisions on the same prompts, layer by layer.",
    "power": "Find how many prompts, groups or tokens a study needs to tell categories apart, by simulation.",
    "place": "Compare placements of experts on devices, by load and by traffic, and write one for a server.",
    "ablate": "Measure what text costs a model without some of its experts, beside as many experts drawn at random.",
    "check": "Check that recorded routing is true: rows that a router can make, and the model's own, token by token.",
    "pool": "Summarise several captures of the same prompts, as of several models, seeds or checkpoints.",
    "import": "Read routing that others recorded, and write signatures and, where it tells enough, a trace.",
    "info": "Describe a file: model, prompts, layers, tokens, and how it was made.",
    "merge": "Join captures of different prompts, or the shards of one, into one file, with the traces beside them.",
    "models": "List the MoE architectures that can be recorded, or describe one model without reading its weights.",
}
# Other spellings of options.
_ALIASES = {"--phase": "--tokens"}


class _Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        screen.prepare_help()
        super().format_help(ctx, formatter)


class _LazyGroup(TyperGroup):
    """The commands by name: a module is imported when its command is run, or asked for its own help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {
            name: TyperCommand(name, help=summary, short_help=summary) for name, summary in COMMANDS.items()
        }

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        screen.prepare_help()
        super().format_help(ctx, formatter)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options; those that are used once stand apart in the help."""
        found = super().get_params(ctx)
        for option in found:
            if str(option.name).endswith("_completion"):
                option.rich_help_panel = "Completion with the Tab key"  # type: ignore[attr-defined]
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that these arguments are for, and what remains of them."""
        name, known, remaining = super().resolve_command(ctx, args)
        if known is None:  # a shell asks how a line goes on whose command there is not
            return name, None, remaining
        return name, _command(str(name)), [_spelled(one) for one in remaining]


def python_name(command: str) -> str:
    """Return what a command's function and module are called: its name, with a _ after a keyword of Python."""
    return f"{command}_" if keyword.iskeyword(command) else command


def function_of(command: str) -> Any:
    """Import the function of a command."""
    name = python_name(command)
    return getattr(import_module(f"moexray.cli.{name}"), name)


def _command(name: str) -> Any:
    command = _alone(function_of(name), name)
    command.params += _alone(everywhere, name).params
    return command


def _alone(function: Any, name: str) -> Any:
    app = typer.Typer(add_completion=False)
    app.command(name, cls=_Command)(function)
    return typer.main.get_command(app)


def everywhere(*, quiet: QuietOption = None, color: ColorOption = None) -> None:
    """Stand for the options that every command has."""


def _spelled(argument: str) -> str:
    option, equals, value = argument.partition("=")
    return _ALIASES.get(option, option) + equals + value


app = typer.Typer(
    name="moexray",
    cls=_LazyGroup,
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
    quiet: QuietOption = None,
    color: ColorOption = None,
) -> None:
    """Record what the routers of a Mixture-of-Experts model do, and test whether it means anything."""


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, and exit status 1, or 2 for wrong usage."""
    screen.forget()
    spell_out()
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="moexray", standalone_mode=False))
    except MoexrayError as error:
        _fail(_with_options(str(error)), status=1)
    except typer.TyperException as error:
        said = error.format_message().replace(": Value error, ", ": ", 1)  # a word of the library that read the value
        _fail(f"{said} (--help says what there is)", status=error.exit_code)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"{error.filename or 'standard output'} could not be written: {error.strerror}", status=1)


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
    say_error(f"error: {' '.join(message.split())}")
    sys.exit(status)
