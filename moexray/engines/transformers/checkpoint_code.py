"""Code that is not ours, of a checkpoint or of transformers: what it must offer, and one sentence where it fails."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import transformers
from transformers import GenerationMixin
from transformers.dynamic_module_utils import get_relative_import_files

from moexray.errors import ModelError

# The package into which transformers puts the modules of checkpoints.
_MODULES = "transformers_modules"


class CheckpointCodeError(Exception):
    """A checkpoint, or the code that comes with it, made transformers fail; the message says how."""


@contextmanager
def explained_code(part: str) -> Iterator[None]:
    """Turn whatever a checkpoint raises into `CheckpointCodeError`, unless it is of a kind that says more.

    Parameters
    ----------
    part
        The part of the checkpoint that is used, for messages.

    Raises
    ------
    CheckpointCodeError
        If that part fails.
    """
    try:
        yield
    except (ModelError, ImportError, OSError, MemoryError):
        raise
    except Exception as error:  # a checkpoint may hold any value and any program, so anything may be raised
        is_code = isinstance(error, SyntaxError) or _is_of_checkpoint(error.__traceback__)
        if isinstance(error, (ValueError, KeyError)) and not is_code:
            raise
        whose = "the code that comes with it" if is_code else part
        message = f"{whose} failed: {type(error).__name__}: {_in_one_line(error)}"
        raise CheckpointCodeError(message) from error


def check_generates(model: Any) -> None:
    """Refuse a model that cannot write: its class lacks transformers' own generation.

    Raises
    ------
    ModelError
        If it does.
    """
    if not isinstance(model, GenerationMixin):
        message = (
            f"{type(model).__name__} cannot generate text: its class must inherit from GenerationMixin as well, "
            "since transformers 4.50 no longer adds it"
        )
        raise ModelError(message)


def code_files(*objects: object) -> dict[str, Path]:
    """Return the files of a checkpoint's code that the classes of these objects come from, with what they import of it.

    They are those that transformers copied from the checkpoint and ran, each by its name beside the class's own file.
    """
    found: dict[str, Path] = {}
    for module in dict.fromkeys(type(one).__module__ for one in objects):
        if module.partition(".")[0] == _MODULES:
            file = Path(str(sys.modules[module].__file__))
            found |= {one.name: one for one in (file, *map(Path, get_relative_import_files(file)))}
    return found


def removed_name(error: ImportError) -> str | None:
    """Return what a checkpoint's code wants of transformers that the installed one does not have; None if nothing."""
    if (error.name or "").partition(".")[0] != "transformers":
        return None
    return f"its code does not fit the installed transformers {transformers.__version__}: {_in_one_line(error)}"


def _is_of_checkpoint(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").startswith(_MODULES):
            return True
        traceback = traceback.tb_next
    return False


def _in_one_line(error: Exception) -> str:
    """Return the first sentence of an error's message; more of it is advice to whoever wrote the code."""
    return re.split(r"(?<=\w)\. ", " ".join(str(error).split()))[0] or "no reason given"
