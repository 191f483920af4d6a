"""Hearing the routers: a hook before each experts module keeps the selections that really ran.

Nearly every MoE model of transformers 5 hands ``(hidden_states, selected experts, gate weights)``
to one experts module a layer. What arrives there is what is computed, whatever the router did
before it (bias correction, expert groups), so nothing is re-computed from router logits.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from moexray.errors import ModelError

# What the experts modules of transformers call the tensor of selected experts, (rows, k).
_SELECTION_NAMES = ("top_k_index", "router_indices")


@dataclass(frozen=True)
class Tap:
    """Where to listen in one layer: its experts module, and how the selections are handed to it."""

    layer: int
    path: str
    experts: int
    module: nn.Module
    argument: str
    position: int


def find_taps(model: nn.Module) -> list[Tap]:
    """Find the experts module of every MoE layer, in the order of the layers.

    Raises
    ------
    ModelError
        If there is none: a dense model, or one that routes in a way that is not heard here.
    """
    taps = [tap for path, module in model.named_modules() if (tap := _tap(path, module)) is not None]
    if not taps:
        lists = [path for path, module in model.named_modules() if "expert" in path.lower()]
        found = f"{lists[0]} does not take them as {' or '.join(_SELECTION_NAMES)}" if lists else "it has no experts"
        message = f"{type(model).__name__} hands its selected experts to no module that can be heard: {found}"
        raise ModelError(message)
    taps.sort(key=lambda tap: tap.layer)
    for first, second in pairwise(taps):
        if first.layer == second.layer:
            message = f"two experts modules claim layer {first.layer}: {first.path} and {second.path}"
            raise ModelError(message)
    return taps


@contextmanager
def listening(taps: list[Tap]) -> Iterator[list[list[Tensor]]]:
    """Yield one list a tap that grows by an int16 tensor ``(rows, k)`` at each forward pass, on its device."""
    heard: list[list[Tensor]] = [[] for _ in taps]
    handles = [
        tap.module.register_forward_pre_hook(_listener(tap, selections), with_kwargs=True)
        for tap, selections in zip(taps, heard, strict=True)
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def selections_per_token(model: nn.Module, taps: list[Tap], token: int) -> tuple[int, ...]:
    """Send one token through the model and see how many experts each layer selects for it.

    Raises
    ------
    ModelError
        If a layer was not heard exactly once.
    """
    device = next(model.parameters()).device
    with listening(taps) as heard:
        model(input_ids=torch.tensor([[token]], device=device), use_cache=False)
    for tap, selections in zip(taps, heard, strict=True):
        if [len(rows) for rows in selections] != [1]:
            message = f"one token passed {tap.path} {sum(map(len, selections))} times instead of once"
            raise ModelError(message)
    return tuple(selections[0].shape[1] for selections in heard)


def _tap(path: str, module: nn.Module) -> Tap | None:
    names = list(inspect.signature(module.forward).parameters)
    argument = next((name for name in _SELECTION_NAMES if name in names), None)
    numbers = [int(part) for part in path.split(".") if part.isdigit()]
    experts = getattr(module, "num_experts", None)
    if argument is None or not numbers or not isinstance(experts, int):
        return None
    return Tap(numbers[0], path, experts, module, argument, names.index(argument))


def _listener(tap: Tap, selections: list[Tensor]):  # type: ignore[no-untyped-def]  # the hook's type is torch's own
    def hear(_module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        chosen = kwargs[tap.argument] if tap.argument in kwargs else args[tap.position]
        selections.append(chosen.to(torch.int16))

    return hear
