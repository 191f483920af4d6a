"""Errors of the libraries that read a checkpoint, each turned into one sentence."""

import errno
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError

from moexray.engines.transformers.checkpoint import folder_of
from moexray.engines.transformers.checkpoint_code import CheckpointCodeError, removed_name
from moexray.errors import ModelError

# What the code of a model raises where it is wrong, or where a picture is one that it was not written for.
FAULTS = (AttributeError, TypeError, ValueError, LookupError, RuntimeError, ArithmeticError, AssertionError)
# How a message begins that says already what it is about.
_SUBJECTS = ("model ", "adapter ")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors in reading a model into one sentence."""
    try:
        yield
    except RecursionError as error:
        message = f"model {name} could not be loaded: brackets in one of its JSON files are nested too deeply"
        raise ModelError(message) from error
    except (OSError, ValueError, KeyError, ImportError, SafetensorError, pickle.UnpicklingError) as error:
        raise ModelError(_reason(name, error)) from error
    except (ModelError, CheckpointCodeError) as error:
        message = str(error) if str(error).startswith(_SUBJECTS) else f"model {name}: {error}"
        raise ModelError(message) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; on the CPU torch has no exception of its own for it."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _reason(name: str, error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"model {name[:20]}… is neither a folder nor a hub model: its name is longer than names can be"
    if "trust_remote_code" in text:
        return (
            f"model {name} comes with its own code: read it, and run it with `trust_remote_code=True` if you trust it"
        )
    if isinstance(error, pickle.UnpicklingError):
        return (
            f"model {name} has a .bin file that holds other things than tensors, or is damaged; nothing of it was run: "
            "save the model as .safetensors"
        )
    if isinstance(error, ImportError):
        removed = removed_name(error)
        if removed:
            return f"model {name}: {removed}"
        return f"model {name} needs a package that is not installed: {first_line(text)}"
    if isinstance(error, KeyError):
        text = f"it names {text}, which transformers does not know"
    is_found = folder_of(name) is not None or not isinstance(error, (OSError, HFValidationError))
    return _unread(name, text, is_found=is_found)


def _unread(name: str, text: str, *, is_found: bool) -> str:
    if Path(name).is_dir() or name == "scale":
        return f"model {name} could not be loaded from its folder: {first_line(text)}"
    if os.sep in name and (name.startswith((".", os.sep)) or name.count(os.sep) > 1):
        return f"there is no model folder {name}"
    if is_found:
        return f"model {name} was found on the Hugging Face hub, and could not be loaded: {first_line(text)}"
    return (
        f"model {name} is neither a local folder nor available from the Hugging Face hub: check its name, "
        f'`revision` and the network, or try `model="scale"`, which comes with moexray ({first_line(text)})'
    )


def first_line(text: str) -> str:
    """Return the first line of an error's text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
