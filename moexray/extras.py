"""Import of packages that only an optional extra of moexray installs."""

from importlib import import_module
from typing import Any

from moexray.errors import MissingExtra


def import_extra(module: str, *, extra: str, purpose: str) -> Any:
    """Import a module of an optional extra.

    Parameters
    ----------
    module
        Its full name, such as ``pyarrow.parquet``.
    extra
        The extra that installs it.
    purpose
        What needs it, the subject of the error's sentence: ``reading prompts.parquet``.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0]
        message = f"{purpose} needs {package}: pip install 'moexray[{extra}]'"
        raise MissingExtra(message) from error
