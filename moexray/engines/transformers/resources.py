"""Memory and speed of a device: how many tokens fit together, and which number format suits it."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from moexray.engines.transformers.hooks import input_device

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# Larger batches are no faster: a CPU is busy, and a GPU's matrices are large enough.
_MOST = {"cpu": 4096}
_MOST_ELSEWHERE = 32768
# Share of the free memory that a batch may take by our estimate: activations outlive a layer, allocators keep more.
_SHARE = 0.25
# A matrix product of real size: the tokens that a batch sends to one expert, times a square matrix.
_TOKENS, _WIDTH = 64, 1024
_SECONDS = 0.05


def fitting_tokens(model: PreTrainedModel) -> int:
    """Return how many tokens, padding included, have keys, values and activations that fit into a quarter of memory.

    An estimate from the configuration; where it is too high, memory runs out and batches are halved. It is a power
    of two, so that small differences in free memory give the same batches.
    """
    device = input_device(model)
    most = _MOST.get(device.type, _MOST_ELSEWHERE)
    free = free_memory(device)
    if free is None:
        return min(most, _MOST["cpu"])
    fitting = max(1, min(most, int(_SHARE * free / _bytes_per_token(model))))
    return int(2 ** (fitting.bit_length() - 1))


def free_memory(device: torch.device) -> int | None:
    """Return the free bytes of the device; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def measured_speeds(device: torch.device, dtypes: Iterable[str]) -> dict[str, float]:
    """Return the speed of a small matrix product by number format, in 10⁹ operations a second.

    Some CPUs have no fast 16-bit arithmetic. Each format takes about a tenth of a second; one that the device does
    not multiply in is left out.
    """
    found = {}
    for name in dtypes:
        try:
            found[name] = _speed(device, DTYPES[name])
        except (RuntimeError, TypeError):
            continue
    return found


def fastest_that_fits(speeds: Mapping[str, float], gigabytes: Mapping[str, float], free: int | None) -> str | None:
    """Return the fastest format whose weights fit into `free` bytes (None: all fit); None if none does."""
    fitting = [name for name in speeds if free is None or gigabytes[name] * 1e9 < free]
    return max(fitting, key=lambda name: speeds[name], default=None)


def _bytes_per_token(model: PreTrainedModel) -> int:
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


@torch.inference_mode()
def _speed(device: torch.device, dtype: torch.dtype) -> float:
    tokens = torch.ones(_TOKENS, _WIDTH, device=device, dtype=dtype)
    matrix = torch.ones(_WIDTH, _WIDTH, device=device, dtype=dtype)
    taken: list[float] = []
    ends = time.perf_counter() + 2 * _SECONDS
    while time.perf_counter() < ends or len(taken) < 3:
        started = time.perf_counter()
        (tokens @ matrix)[0, 0].item()  # waits for the result
        taken.append(time.perf_counter() - started)
    return 2 * _TOKENS * _WIDTH**2 / min(taken) / 1e9
