"""Loading a model and its tokenizer; every failure is one sentence."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from moexray.engines.transformers.architectures import model_class
from moexray.engines.transformers.checkpoint_code import (
    CheckpointCodeError,
    check_generates,
    explained_code,
    removed_name,
)
from moexray.engines.transformers.configurations import read_configuration
from moexray.engines.transformers.end_tokens import check_generation_settings
from moexray.engines.transformers.memory import free_memory
from moexray.engines.transformers.resources import DTYPES
from moexray.engines.transformers.taps import check_type, find_taps
from moexray.engines.transformers.tokenizers import read_tokenizer
from moexray.errors import ModelError

SCALE_MODEL = Path(__file__).parents[2] / "scale_model"


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with its tokenizer, and the name under which it was loaded."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_model(
    name: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load `name`: ``scale`` (the embedded model), a local folder, or an id on the Hugging Face hub.

    Parameters
    ----------
    device
        A torch device; by default CUDA, then MPS, then the CPU. ``auto`` spreads the layers over all
        GPUs, then memory, then the disk, which needs accelerate.
    dtype
        ``float64``, ``float32``, ``bfloat16`` or ``float16``; by default what the model's configuration says.
    revision
        Branch, tag or commit of a hub model.
    trust_remote_code
        Run the Python code that comes with a checkpoint.

    Raises
    ------
    ModelError
        If there is no such model, it is dense, does not fit into memory, or an option is not known.
    """
    place = None if device == "auto" else device_of(device)
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = read_config(name, **options)
    wanted = _dtype(dtype) or dtype_of(config)
    try:
        with explained(name):
            _check_before_loading(config, name, place, wanted, trust_remote_code=trust_remote_code)
            tokenizer = read_tokenizer(_source(name), config, **options)
            check_generation_settings(_source(name), revision)
            with _quiet():
                model = _from_pretrained(_source(name), config, place, dtype=wanted, **options)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = (
            f"model {name} does not fit into the memory of {place or 'all devices'}: "
            'try `dtype="bfloat16"`, or another `device`'
        )
        raise ModelError(message) from error
    return LoadedModel(name, model, tokenizer)


def read_config(name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Read the configuration of `name`, see `load_model`, without its weights.

    Raises
    ------
    ModelError
        If there is none.
    """
    with explained(name), _quiet():
        _check_folder(name, Path(_source(name)))
        return read_configuration(_source(name), revision=revision, trust_remote_code=trust_remote_code)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors in reading a model into one sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise ModelError(_reason(name, error)) from error
    except (ModelError, CheckpointCodeError) as error:
        message = str(error) if str(error).startswith("model ") else f"model {name}: {error}"
        raise ModelError(message) from error


def build_skeleton(config: Any, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """Build the model of a configuration without its weights."""
    with torch.device("meta"), _quiet(), explained_code("building the model of its configuration"):
        skeleton: PreTrainedModel = model_class(config.model_type).from_config(
            config, trust_remote_code=trust_remote_code
        )
    return skeleton


def _from_pretrained(source: str, config: Any, place: torch.device | None, **options: Any) -> PreTrainedModel:
    """Load the weights to `place`, or where accelerate finds room if it is None."""
    quantization = quantization_of(config)
    if quantization == "mxfp4":
        # Its own kernels select and compute in one, where no hook sees the selections.
        config.quantization_config["dequantize"] = True
    elif quantization is not None and place is not None:
        options["device_map"] = {"": place}  # packed weights cannot be moved once they are loaded
    if place is None:
        options["device_map"] = "auto"
    model: PreTrainedModel = model_class(config.model_type).from_pretrained(source, config=config, **options)
    return (model if "device_map" in options else model.to(place)).eval()


def quantization_of(config: Any) -> str | None:
    """Return the quantization method of a model, as its configuration calls it; None if there is none."""
    found = getattr(config, "quantization_config", None)
    method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
    return None if method is None else str(getattr(method, "value", method))


def checkpoint_files(name: str) -> list[list[Any]]:
    """Return name, size and time of each file of a local checkpoint; empty for a hub model, which has a revision."""
    folder = Path(_source(name))
    if not folder.is_dir():
        return []
    files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors", ".bin"))
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; on the CPU torch has no exception of its own for it."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _source(name: str) -> str:
    return str(SCALE_MODEL) if name == "scale" else name


def _check_folder(name: str, folder: Path) -> None:
    if (repository := _repository(name)) is not None:
        message = f'{name} is the page of a hub model, not its name: say `model="{repository}"`'
        raise ModelError(message)
    if folder.exists() and not (folder / "config.json").is_file():
        message = f"model {name} has no config.json: name the folder of a checkpoint that transformers can load"
        raise ModelError(message)


def device_of(name: str | None) -> torch.device:
    """Return the torch device of that name; the fastest one if it is None."""
    if name is None:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        message = f"device {name!r} cannot be used here: {str(error).splitlines()[0]}"
        raise ModelError(message) from error
    if device.type == "meta":
        message = "device 'meta' holds no numbers: name cpu, cuda or mps"
        raise ModelError(message)
    return device


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None or name == "auto":
        return None
    if name not in DTYPES:
        message = f"no dtype {name!r}: there are auto, {', '.join(DTYPES)}"
        raise ModelError(message)
    return DTYPES[name]


def dtype_of(config: Any) -> torch.dtype:
    """Return the number format that a configuration says its weights have."""
    found = getattr(config, "dtype", None)
    return found if isinstance(found, torch.dtype) else torch.float32


def _check_before_loading(
    config: Any, name: str, device: torch.device | None, dtype: torch.dtype, *, trust_remote_code: bool
) -> None:
    """Build the model without its weights, to refuse a dense or a too large one before they are fetched."""
    try:
        check_type(config.model_type)
        skeleton = build_skeleton(config, trust_remote_code=trust_remote_code)
        check_generates(skeleton)
        find_taps(skeleton)
    except ModelError as error:
        message = f"model {name}: {error}"
        raise ModelError(message) from error
    if device is None or quantization_of(config) not in (None, "mxfp4"):
        return  # it may go to the disk, or its weights are smaller than their number says
    needed = sum(parameter.numel() for parameter in skeleton.parameters()) * dtype.itemsize
    free = free_memory(device)
    if free is not None and needed > free:
        message = (
            f"model {name} needs {needed / 1e9:.1f} GB as {str(dtype).removeprefix('torch.')}, "
            f"but {device} has {free / 1e9:.1f} GB free: try a smaller `dtype`, or another `device`"
        )
        raise ModelError(message)


def _reason(name: str, error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"model {name[:20]}… is neither a folder nor a hub model: its name is longer than names can be"
    if "trust_remote_code" in text:
        return (
            f"model {name} comes with its own code: read it, and run it with `trust_remote_code=True` if you trust it"
        )
    if isinstance(error, ImportError):
        removed = removed_name(error)
        return (
            f"model {name}: {removed}"
            if removed
            else f"model {name} needs a package that is not installed: {_first_line(text)}"
        )
    if isinstance(error, KeyError):
        text = f"it names {text}, which transformers does not know"
    if Path(name).is_dir() or name == "scale":
        return f"model {name} could not be loaded from its folder: {_first_line(text)}"
    if os.sep in name and (name.startswith((".", os.sep)) or name.count(os.sep) > 1):
        return f"there is no model folder {name}"
    return (
        f"model {name} is neither a local folder nor available from the Hugging Face hub: check its name, "
        f'`revision` and the network, or try `model="scale"`, which comes with moexray ({_first_line(text)})'
    )


def _repository(address: str) -> str | None:
    """Return the id of the hub model whose page this is; None if it is none."""
    found = re.match(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)", address)
    return None if found is None else found[1]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


class _quiet:  # noqa: N801  # used like contextlib's lower-case managers
    """Keep transformers' own loading bars and advice off the screen."""

    def __enter__(self) -> None:
        self.level = transformers_logging.get_verbosity()
        self.bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self.level)
        if self.bars:
            transformers_logging.enable_progress_bar()
