"""What suits a device: how many tokens fit together, and which number format is fast."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from moexray.engines.transformers.configuration import TOP_K, greatest, text_config
from moexray.engines.transformers.hooks import input_device
from moexray.engines.transformers.memory import free_memory

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# Larger batches are no faster: a CPU is busy, and a GPU's matrices are large enough.
_MOST = {"cpu": 16384}
_MOST_ELSEWHERE = 32768
# Where the system does not say how much memory is free.
_MOST_UNKNOWN = 4096
# Share of the free memory that a batch may take by our estimate: activations outlive a layer, allocators keep more.
_SHARE = 0.25
# The width of a model whose configuration does not name it.
_HIDDEN = 4096
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
        return min(most, _MOST_UNKNOWN)
    fitting = max(1, min(most, int(_SHARE * free / sizes_of_token(model).of_prompt)))
    return int(2 ** (fitting.bit_length() - 1))


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


@dataclass(frozen=True)
class Sizes:
    """About how many bytes a token of a batch takes.

    Attributes
    ----------
    keys_and_values
        What is kept of it in all layers.
    of_a_layer
        What one layer computes of it.
    scores
        What its attention to one other token takes, where all of a prompt's are in memory at once; otherwise 0.
    """

    keys_and_values: int
    of_a_layer: int
    scores: int = 0

    @property
    def of_prompt(self) -> int:
        """Bytes of a token of a prompt."""
        return self.keys_and_values + self.of_a_layer

    @property
    def share_of_generated(self) -> float:
        """What a generated token takes of that: it is computed when all before it are, so only its keys and values."""
        return self.keys_and_values / self.of_prompt


def sizes_of_token(model: PreTrainedModel) -> Sizes:
    """Estimate what a token of a batch takes from the configuration of a model, and its number format."""
    return sizes_by_config(text_config(model.config), model.dtype.itemsize)


def sizes_by_config(config: Any, itemsize: int) -> Sizes:
    """Estimate what a token of a batch takes from the configuration of its decoder, and the bytes of a number.

    The greatest of each size is taken where layers differ, and the usual ones where a configuration does not name them.
    """
    hidden = greatest(config, "hidden_size", "d_model", "n_embd") or _HIDDEN
    heads = greatest(config, "num_attention_heads", "n_heads", "n_head") or 1
    of_keys = greatest(config, "num_key_value_heads") or heads
    head = max(greatest(config, name) or 0 for name in ("head_dim", "global_head_dim")) or hidden // heads
    layers = greatest(config, "num_hidden_layers", "n_layers", "n_layer") or 1
    selected = greatest(config, *TOP_K) or 1
    inner = greatest(config, "moe_intermediate_size") or greatest(config, "intermediate_size") or 4 * hidden
    of_a_layer = 8 * hidden + selected * (2 * hidden + 3 * inner)
    scores = heads * _copies_of_scores(config) * itemsize
    return Sizes(2 * layers * of_keys * head * itemsize, of_a_layer * itemsize, scores)


def _copies_of_scores(config: Any) -> int:
    """Return how often the attention scores of a layer are in memory: measured, and rounded up.

    Fused attention forms none. PyTorch has no fused one on a CPU where queries are wider than values.
    """
    if getattr(config, "_attn_implementation", None) == "eager":
        return 4
    wide, narrow = (greatest(config, name) or 0 for name in ("qk_nope_head_dim", "v_head_dim"))
    return 5 if narrow and wide + (greatest(config, "qk_rope_head_dim") or 0) != narrow else 0


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
