"""Options of a command that are made from a list, and options that were given."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any

import typer


def with_flags(
    flags: Mapping[str, str], *, into: str, panel: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command one flag for each name of a list.

    Parameters
    ----------
    flags
        Names and help texts; an underscore is a dash on the command line.
    into
        The command's parameter that receives the names that were given, as a list.
    panel
        Of the help.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(*arguments: Any, **options: Any) -> None:
            chosen = [name for name in flags if options.pop(name)]
            command(*arguments, **options, **{into: chosen})

        made = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False,
                annotation=Annotated[
                    bool, typer.Option(f"--{name.replace('_', '-')}", help=text, rich_help_panel=panel)
                ],
            )
            for name, text in flags.items()
        ]
        signature = inspect.signature(command)
        kept = [one for one in signature.parameters.values() if one.name != into]
        first = next(place for place, one in enumerate(kept) if one.kind is one.KEYWORD_ONLY)
        run.__signature__ = signature.replace(parameters=[*kept[:first], *made, *kept[first:]])  # type: ignore[attr-defined]
        return run

    return decorate


def given(**options: Any) -> dict[str, Any]:
    """Return the options that the user gave: those that are not None, by the names that the library has for them."""
    return {name: getattr(value, "value", value) for name, value in options.items() if value is not None}
