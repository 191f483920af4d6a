"""Values that the Tab key offers."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from moexray.errors import MoexrayError
from moexray.formats import visible


def one_of(values: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that gives the values that begin with what was typed."""

    def begun(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return begun


def prompt_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return ids of the signatures that a command would read, in their order; none where they cannot be read.

    An id that a shell would read as something else is left out: it has to be quoted, and completion does not.
    """
    from moexray.signatures import Signatures

    try:
        ids = Signatures.open(Path(ctx.params["file"])).prompts.ids
    except MoexrayError:
        return []
    return [one for one in ids if one.startswith(incomplete) and one == visible(one) == shlex.quote(one)]
