"""What the configuration of a checkpoint says of its weights: their number format, and how they are packed."""

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import torch
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from moexray.engines.transformers.checkpoint import check_folder, source_of, tensor_headers, weight_files
from moexray.engines.transformers.config_file import read_configuration
from moexray.engines.transformers.configuration import text_config
from moexray.engines.transformers.failures import explained
from moexray.engines.transformers.quiet import quiet
from moexray.engines.transformers.resources import DTYPES
from moexray.errors import ModelError

# As headers of safetensors files call the formats in which models run.
_STORED = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def read_config(name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Read the configuration of `name`, see `load_model`, without its weights.

    Raises
    ------
    ModelError
        If there is none, or it names a number format or a packing that is not known.
    """
    with explained(name), quiet():
        check_folder(name, revision)
        config = read_configuration(source_of(name), revision=revision, trust_remote_code=trust_remote_code)
        _check_dtype(name, config)
        _check_packing(name, config)
    return config


def quantization_of(config: Any) -> str | None:
    """Return the quantization method of a model, as its configuration calls it; None if there is none."""
    found = packing_of(config)
    method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
    return None if method is None else str(getattr(method, "value", method))


def known_dtype(config: Any, folder: Path | None = None) -> torch.dtype | None:
    """Return the number format of a model's weights; None where it is not known before they are there.

    It is what the configuration says, or that of its text decoder; where neither does, that of most numbers in the
    safetensors files of `folder`.
    """
    return _said_dtype(config) or (None if folder is None else _stored_dtype(folder))


def dtype_of(config: Any, folder: Path | None = None) -> torch.dtype:
    """Return `known_dtype`, or float32 where it is not known."""
    return known_dtype(config, folder) or torch.float32


def _stored_dtype(folder: Path) -> torch.dtype | None:
    numbers: Counter[torch.dtype] = Counter()
    for file in weight_files(folder):
        if file.suffix == ".safetensors" and file.is_file():
            for tensor in tensor_headers(file).values():
                if tensor["dtype"] in _STORED:
                    numbers[_STORED[tensor["dtype"]]] += prod(tensor["shape"])
    return numbers.most_common(1)[0][0] if numbers else None


def _said_dtype(config: Any) -> torch.dtype | None:
    found = (getattr(one, "dtype", None) for one in (config, text_config(config)))
    return next((dtype for dtype in found if isinstance(dtype, torch.dtype)), None)


def _check_dtype(name: str, config: Any) -> None:
    said = _said_dtype(config)
    if said is not None and said not in DTYPES.values():
        message = (
            f"model {name}: its configuration names the number format {str(said).removeprefix('torch.')}, in which "
            f"no model runs: write one of {', '.join(DTYPES)} there"
        )
        raise ModelError(message)


def packing_of(config: Any) -> Any:
    """Return the settings of quantization, where transformers looks for them; None where there are none."""
    return getattr(config, "quantization_config", None) or getattr(text_config(config), "quantization_config", None)


def _check_packing(name: str, config: Any) -> None:
    """Refuse packed weights that transformers would read as if they were not packed."""
    found, method = packing_of(config), quantization_of(config)
    in_bits = isinstance(found, dict) and (found.get("load_in_8bit") or found.get("load_in_4bit"))
    if found and not in_bits and method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        message = (
            f"model {name}: its weights are packed by {method or 'a method that its config.json does not name'}, which "
            "transformers does not unpack: name a checkpoint that is not packed, or unpack it first"
        )
        raise ModelError(message)
