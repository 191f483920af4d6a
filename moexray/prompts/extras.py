"""Packages that only some sources need: imported when such a source is read."""

from importlib import import_module
from typing import Any

from moexray.errors import PromptsError
from moexray.prompts.source import Source


def imported(module: str, source: Source, *, extra: str) -> Any:
    """Import a module that an extra brings.

    Raises
    ------
    PromptsError
        If it is not installed; says how to.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        problem = f"{source} needs {error.name} to be read: pip install 'moexray[{extra}]'"
        raise PromptsError(problem) from error
