"""Hearing the routers: a hook at each MoE layer keeps the selections that really ran."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from moexray.errors import ModelError

# What the experts modules of transformers call the tensor of selected experts, (rows, k).
SELECTION_NAMES = ("top_k_index", "router_indices")
WEIGHT_NAMES = ("top_k_weights", "routing_weights")
HOW_TO = "docs/architectures.md shows how to write a tap"

Read = Callable[[tuple[Any, ...], Mapping[str, Any], Any], Tensor]


@dataclass(frozen=True)
class Tap:
    """Where to listen in one layer, and how to read what is heard.

    Attributes
    ----------
    layer
        Index of the decoder layer.
    path
        Name of the module in the model.
    experts
        Experts that the router chooses from.
    module
        The module that is hooked.
    read
        From its arguments, keyword arguments and output to the selected experts, integers
        ``(rows, k)``; −1 is no selection.
    weigh
        Likewise to the gate weights of the selections ``(rows, k)``; None where they cannot be read.
    after
        Whether `read` needs the output, and so waits for it.
    calls
        How often the module runs in one forward pass; the selections of all runs are joined to ``(rows, calls·k)``.
    holders
        The modules that hold the experts' weights; their tensors are stacked expert by expert.
    own
        Whether the tap was written for this architecture.
    """

    layer: int
    path: str
    experts: int
    module: nn.Module
    read: Read
    weigh: Read | None = None
    after: bool = False
    calls: int = 1
    holders: tuple[nn.Module, ...] = ()
    own: bool = False


@contextmanager
def listening(taps: Sequence[Tap]) -> Iterator[list[list[Tensor]]]:
    """Yield one list a tap that grows by an int16 tensor ``(rows, k)`` at each forward pass, on its device."""
    with _hooked(taps, [_selections(tap) for tap in taps]) as heard:
        yield heard


@contextmanager
def weighing(taps: Sequence[Tap]) -> Iterator[list[list[Tensor]]]:
    """Yield likewise lists of float16 tensors: the gate weight of each selection."""
    with _hooked(taps, [_weights(tap) for tap in taps]) as heard:
        yield heard


def input_device(model: nn.Module) -> torch.device:
    """Return where a model takes token ids: on the CPU if its first weights lie on the disk until they are used."""
    device = next(model.parameters()).device
    return torch.device("cpu") if device.type == "meta" else device


def argument(module: nn.Module, names: Sequence[str]) -> Read | None:
    """Return how to read the first of these arguments from a call of the module, None where it takes none of them."""
    order = list(inspect.signature(module.forward).parameters)
    name = next((name for name in names if name in order), None)
    if name is None:
        return None
    position = order.index(name)

    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any], _output: object) -> Tensor:
        found: Tensor = kwargs[name] if name in kwargs else args[position]
        return found

    return read


def _selections(tap: Tap) -> Read:
    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> Tensor:
        chosen = tap.read(args, kwargs, output)
        if chosen.ndim != 2 or chosen.is_floating_point() or chosen.dtype == torch.bool:
            kind = f"{str(chosen.dtype).removeprefix('torch.')} of shape {tuple(chosen.shape)}"
            message = f"{tap.path} was handed {kind} where (tokens, k) expert indices are expected; {HOW_TO}"
            raise ModelError(message)
        return chosen.to(torch.int16)

    return read


def _weights(tap: Tap) -> Read:
    weigh = tap.weigh
    if weigh is None:
        message = f"the gate weights at {tap.path} cannot be read; {HOW_TO}"
        raise ModelError(message)
    return lambda args, kwargs, output: weigh(args, kwargs, output).to(torch.float16)


@contextmanager
def _hooked(taps: Sequence[Tap], reads: Sequence[Read]) -> Iterator[list[list[Tensor]]]:
    heard: list[list[Tensor]] = [[] for _ in taps]
    handles = [_hook(tap, read, kept) for tap, read, kept in zip(taps, reads, heard, strict=True)]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _hook(tap: Tap, read: Read, kept: list[Tensor]) -> torch.utils.hooks.RemovableHandle:
    calls: list[Tensor] = []

    def hear(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> None:
        calls.append(read(args, kwargs, output))
        if len(calls) == tap.calls:
            kept.append(calls[0] if tap.calls == 1 else torch.cat(calls, dim=1))
            calls.clear()

    if tap.after:
        return tap.module.register_forward_hook(
            lambda _module, args, kwargs, output: hear(args, kwargs, output), with_kwargs=True
        )
    return tap.module.register_forward_pre_hook(
        lambda _module, args, kwargs: hear(args, kwargs, None), with_kwargs=True
    )
