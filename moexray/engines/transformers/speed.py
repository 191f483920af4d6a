"""How fast this machine multiplies in each number format: some CPUs have no fast 16-bit arithmetic."""

import time
from collections.abc import Iterable, Mapping

import torch

from moexray.engines.transformers.loading import DTYPES

# As many tokens as a batch sends an expert, through a matrix of a real model's size.
_TOKENS, _WIDTH = 64, 1024
_SECONDS = 0.05


def measured_speeds(device: torch.device, dtypes: Iterable[str]) -> dict[str, float]:
    """Return 10⁹ operations a second of a small matrix product, by number format; takes about a tenth of a second each.

    A format that the device does not multiply in is left out.
    """
    found = {}
    for name in dtypes:
        try:
            found[name] = _speed(device, DTYPES[name])
        except (RuntimeError, TypeError):
            continue
    return found


def suiting(speeds: Mapping[str, float], gigabytes: Mapping[str, float], free: int | None) -> str | None:
    """Return the fastest format whose weights fit into `free` bytes (None: all do); None if there is none."""
    fitting = [name for name in speeds if free is None or gigabytes[name] * 1e9 < free]
    return max(fitting, key=lambda name: speeds[name], default=None)


@torch.inference_mode()
def _speed(device: torch.device, dtype: torch.dtype) -> float:
    tokens = torch.ones(_TOKENS, _WIDTH, device=device, dtype=dtype)
    matrix = torch.ones(_WIDTH, _WIDTH, device=device, dtype=dtype)
    taken: list[float] = []
    ends = time.perf_counter() + 2 * _SECONDS
    while time.perf_counter() < ends or len(taken) < 3:
        started = time.perf_counter()
        (tokens @ matrix)[0, 0].item()  # waits until it is computed
        taken.append(time.perf_counter() - started)
    return 2 * _TOKENS * _WIDTH**2 / min(taken) / 1e9
