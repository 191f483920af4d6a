"""Adapters: applied where they are asked for, and never because peft is installed."""

import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import find_adapter_config_file

from moexray.engines.transformers.checkpoint import source_of
from moexray.engines.transformers.quiet import quiet
from moexray.errors import MissingExtra, ModelError

# transformers looks for an adapter beside the weights if peft is installed: in this folder, which does not exist.
NOT_BESIDE = {"subfolder": "no-adapter"}


def check_adapter(name: str, adapter: str | None, revision: str | None) -> None:
    """Refuse a model with an adapter beside its weights where none is named, and one that cannot be applied.

    Raises
    ------
    ModelError
        If nobody said whether the adapter beside the weights belongs to the model, or the one that is named is not
        there.
    MissingExtra
        If one is named and peft is not installed.
    """
    if adapter is None:
        if find_adapter_config_file(source_of(name), revision=revision) is not None:
            message = (
                f"model {name} has an adapter beside its weights (adapter_config.json): apply it with "
                f"`adapter={name!r}`, or move it away to record the model without it"
            )
            raise ModelError(message)
        return
    if importlib.util.find_spec("peft") is None:
        message = "an adapter needs peft: pip install 'moexray[adapters]'"
        raise MissingExtra(message)
    if _config_file(adapter) is None:
        message = f"adapter {adapter} has no adapter_config.json: name the folder or the hub's id of an adapter of peft"
        raise ModelError(message)


def apply_adapter(model: PreTrainedModel, adapter: str) -> None:
    """Add an adapter to a model, in place.

    Raises
    ------
    ModelError
        If it is of another model, or cannot be read.
    """
    try:
        with quiet():
            found = model.load_adapter(adapter, ignore_mismatched_sizes=True)  # it says both shapes
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, ImportError) as error:
        message = f"adapter {adapter} cannot be applied to this model: {' '.join(str(error).split())[:300]}"
        raise ModelError(message) from error
    model.eval()
    _check_report(adapter, {} if found is None else found.to_dict())


def adapter_files(adapter: str) -> list[Path]:
    """Return the files of an adapter: its configuration and its weights."""
    config = _config_file(adapter)
    if config is None:
        return []
    names = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
    return [file for name in names if (file := Path(config).with_name(name)).is_file()]


def _config_file(adapter: str) -> str | None:
    with suppress(OSError, ValueError):  # neither a folder nor an id
        found: str | None = find_adapter_config_file(adapter)
        return found
    return None


def _check_report(adapter: str, info: Mapping[str, Any]) -> None:
    missing, unexpected = (sorted(info.get(kind, ())) for kind in ("missing_keys", "unexpected_keys"))
    problems = [
        *(
            f"{key} has the shape {tuple(a)}, and {tuple(b)} in the model"
            for key, a, b in info.get("mismatched_keys", ())
        ),
        *(f"it does not hold {key}" for key in missing),
        *(f"nothing reads its {key}" for key in unexpected),
    ]
    if problems:
        message = f"adapter {adapter} is of another model, or damaged: {min(problems)}; name the adapter of this model"
        raise ModelError(message)
