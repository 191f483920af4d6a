"""A model in training: found within its wrappers, and left exactly as it was found."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, TrainerCallback

from moexray.errors import ModelError

__all__ = ["TrainerCallback", "check_whole", "plain_model", "same_random_state"]


def plain_model(model: Any) -> Any:
    """Return the model within wrappers: of torch.compile, DataParallel, DDP, FSDP, DeepSpeed and peft."""
    while not isinstance(model, PreTrainedModel):
        inner = getattr(model, "_orig_mod", None)  # torch.compile's
        if inner is None and callable(getattr(model, "get_base_model", None)):  # peft's
            inner = model.get_base_model()
        if inner is None:
            inner = getattr(model, "module", None)
        if not isinstance(inner, nn.Module) or inner is model:
            return model
        model = inner
    return model


def check_whole(model: nn.Module) -> None:
    """Refuse a model that one process cannot run by itself, or whose hooks may not run.

    Raises
    ------
    ModelError
        If its weights are spread over processes, or it is compiled in place.
    """
    cure = "record the saved checkpoints with `moexray capture` instead, and leave out `probe`"
    spread = any(hasattr(parameter, "placements") or hasattr(parameter, "ds_id") for parameter in model.parameters())
    if spread or any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        message = f"the weights of {type(model).__name__} are spread over processes: {cure}"
        raise ModelError(message)
    if any(getattr(module, "_compiled_call_impl", None) is not None for module in model.modules()):
        message = f"{type(model).__name__} is compiled in place, where no new hook runs: {cure}"
        raise ModelError(message)


@contextmanager
def same_random_state() -> Iterator[None]:
    """Put the random states of Python, NumPy, torch and all accelerators back at the end."""
    of_python, of_numpy, of_cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    device = None if accelerator is None else torch.get_device_module(accelerator)
    has_all = hasattr(device, "get_rng_state_all")
    of_devices = None if device is None else device.get_rng_state_all() if has_all else device.get_rng_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        torch.set_rng_state(of_cpu)
        if device is not None:
            (device.set_rng_state_all if has_all else device.set_rng_state)(of_devices)
