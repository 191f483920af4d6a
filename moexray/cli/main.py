"""The command line: the list of its commands, and the one place where errors become a line and a status."""

import sys
from typing import Annotated

import typer

import moexray
from moexray.cli.analyze import analyze
from moexray.cli.capture import capture
from moexray.cli.claims import claims
from moexray.cli.compare import compare
from moexray.cli.demo import demo
from moexray.cli.experts import experts
from moexray.cli.info import info
from moexray.cli.merge import merge
from moexray.cli.models import models
from moexray.cli.plot import plot
from moexray.errors import MoexrayError

COMMANDS = (demo, capture, analyze, plot, claims, experts, compare, info, merge, models)

app = typer.Typer(
    name="moexray",
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="The usual way: moexray capture --prompts prompts/, then moexray analyze, then moexray plot --all.",
)
for command in COMMANDS:
    app.command()(command)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it so
    if wanted:
        typer.echo(f"moexray {moexray.__version__}")
        raise typer.Exit


@app.callback()
def describe(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Record what the routers of a Mixture-of-Experts model do with your prompts, and test whether it means much."""


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, and exit status 1, or 2 for wrong usage."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except MoexrayError as error:
        _fail(str(error), status=1)
    except typer.TyperException as error:
        _fail(f"{error.format_message()} (--help says what there is)", status=error.exit_code)


def _fail(message: str, *, status: int) -> None:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(status)
