"""Reading a checkpoint's configuration; a number of another type than transformers wants is read as what it says."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from moexray.engines.transformers.checkpoint_code import CheckpointCodeError, explained_code
from moexray.engines.transformers.configuration import text_config
from moexray.errors import ModelError

_PART = "its configuration"


def read_configuration(source: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Read the configuration of a folder or a hub model.

    A whole number may be written 8.0 or "8", a fraction 0, and a number format "auto" or "torch.bfloat16". A padding
    token may have no embedding.

    Raises
    ------
    ModelError
        If it names a number format that does not exist.
    CheckpointCodeError
        If transformers, or the code that comes with the checkpoint, makes no configuration of it.
    OSError, ValueError, KeyError, ImportError
        If there is none, it is no JSON, or of a type that transformers does not know.
    """
    config = _read(source, revision, trust_remote_code=trust_remote_code)
    for part in (config, text_config(config)):
        _mend_padding(part)
    return config


def _read(source: str, revision: str | None, *, trust_remote_code: bool) -> Any:
    try:
        with explained_code(_PART):
            return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=trust_remote_code)
    except CheckpointCodeError:
        held, given = PreTrainedConfig.get_config_dict(source, revision=revision)
        kind = held.get("model_type")
        if "auto_map" in held or not isinstance(kind, str) or kind not in CONFIG_MAPPING:
            raise
    for part in _parts(held):
        _mend_dtype(part)
    with explained_code(_PART):
        return _mended(held, given)


def _mended(held: dict[str, Any], given: dict[str, Any]) -> Any:
    """Make the configuration of these values, each number mended where transformers complains of its type."""
    mended: set[str] = set()
    while True:
        try:
            return CONFIG_MAPPING[held["model_type"]].from_dict(deepcopy(held), **given)
        except StrictDataclassFieldValidationError as error:
            field = str(error).split("'")[1]  # "Validation error for field 'num_local_experts': …"
            wanted = float if "expected float" in str(error) else int
            changed = [_mend_number(part, field, wanted) for part in _parts(held)]
            if field in mended or not any(changed):
                raise
            mended.add(field)


def _parts(held: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a configuration and those nested in it."""
    yield held
    for value in held.values():
        if isinstance(value, dict):
            yield from _parts(value)


def _mend_number(part: dict[str, Any], field: str, wanted: type[int] | type[float]) -> bool:
    """Give a number the wanted type if that does not change it; return whether it did."""
    value = part.get(field)
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return False
    try:
        number = float(value)
    except ValueError:
        return False
    if wanted is int and not number.is_integer():
        return False
    part[field] = wanted(number)
    return True


def _mend_padding(config: Any) -> None:
    """Take out a padding token without an embedding: torch makes no embeddings with one, and any token may pad."""
    padding, tokens = (getattr(config, name, None) for name in ("pad_token_id", "vocab_size"))
    if isinstance(padding, int) and isinstance(tokens, int) and not -tokens <= padding < tokens:
        config.pad_token_id = None


def _mend_dtype(part: dict[str, Any]) -> None:
    """Take out a number format that is to be found in the weights, and name others as torch does."""
    for key in ("dtype", "torch_dtype"):
        named = part.get(key)
        if not isinstance(named, str):
            continue
        name = named.removeprefix("torch.")
        if name == "auto":
            del part[key]
        elif isinstance(getattr(torch, name, None), torch.dtype):
            part[key] = name
        else:
            message = f"its configuration names the number format {named!r}, which torch {torch.__version__} has not"
            raise ModelError(message)
