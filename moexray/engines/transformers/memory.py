"""How many tokens may run together, from what memory is free."""

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from moexray.engines.transformers.hooks import input_device

# Beyond these a larger batch no longer makes tokens faster: a CPU is busy, a GPU's matrices are large enough.
_MOST = {"cpu": 4096}
_MOST_ELSEWHERE = 32768
# The share of free memory that a batch may be expected to take: activations outlive a layer, allocators keep more.
_SHARE = 0.25


def fitting_tokens(model: PreTrainedModel) -> int:
    """Tokens, padding included, whose keys, values and activations fit into a quarter of the free memory.

    An estimate from the configuration; where it is too high, memory runs out and batches are halved. It is a power
    of two, so that a little more or less free memory makes the same batches.
    """
    device = input_device(model)
    most = _MOST.get(device.type, _MOST_ELSEWHERE)
    free = free_memory(device)
    if free is None:
        return min(most, _MOST["cpu"])
    fitting = max(1, min(most, int(_SHARE * free / _bytes_a_token(model))))
    return int(2 ** (fitting.bit_length() - 1))


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on the device; None where that cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def _bytes_a_token(model: PreTrainedModel) -> int:
    config: Any = model.config.get_text_config()
    hidden = int(config.hidden_size)
    heads = int(getattr(config, "num_attention_heads", 1))
    head = int(getattr(config, "head_dim", None) or hidden // heads)
    keys_and_values = (
        2 * int(config.num_hidden_layers) * int(getattr(config, "num_key_value_heads", None) or heads) * head
    )
    selected = int(getattr(config, "num_experts_per_tok", None) or 1)
    inner = int(
        getattr(config, "moe_intermediate_size", None) or getattr(config, "intermediate_size", None) or 4 * hidden
    )
    of_a_layer = 8 * hidden + selected * (2 * hidden + 3 * inner)
    return int((keys_and_values + of_a_layer) * model.dtype.itemsize)
