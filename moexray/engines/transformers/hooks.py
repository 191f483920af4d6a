"""Hooks at a model's MoE layers that record the selections and gate weights that really ran."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from moexray.errors import ModelError

# Names that the experts modules of transformers have for the tensor of selected experts, (rows, k).
SELECTION_NAMES = ("top_k_index", "router_indices")
WEIGHT_NAMES = ("top_k_weights", "routing_weights")
# Stands for the selections of a token whose router got, or gave as weights, NaN or infinity.
NOT_FINITE = -2
HOW_TO = "docs/architectures.md shows how to write a tap"

# From a call of a module (its arguments, keyword arguments and output) to a tensor (rows, k).
Reader = Callable[[tuple[Any, ...], Mapping[str, Any], Any], Tensor]


@dataclass(frozen=True)
class Tap:
    """The module of one MoE layer that is hooked, and how its selections are read.

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
    experts_of
        Reads the selected experts from a call of the module: integers ``(rows, k)``, −1 for no selection.
    weights_of
        Reads the gate weights of the selections ``(rows, k)``; None where they cannot be read.
    after
        Whether the readers need the module's output; otherwise its arguments are enough.
    calls
        How often the module runs in one forward pass; the selections of all runs are joined to ``(rows, calls·k)``.
    holders
        The modules that hold the experts' weights; their tensors are stacked expert by expert.
    special
        Whether the tap was written for this architecture.
    writable
        Whether the arguments of the module, as they are, decide which experts compute: a rule can change them.
    router
        The module that scores the experts, where it is known.
    starts
        The number of the first expert of each of `holders`, where they hold one group of experts each; otherwise empty.
    inside
        Modules within that are handed the selections of some tokens each. The readers then get, in place of the
        module's output, the arguments and keyword arguments of each, or None for one that was not called.
    """

    layer: int
    path: str
    experts: int
    module: nn.Module
    experts_of: Reader
    weights_of: Reader | None = None
    after: bool = False
    calls: int = 1
    holders: tuple[nn.Module, ...] = ()
    special: bool = False
    writable: bool = True
    router: nn.Module | None = None
    starts: tuple[int, ...] = ()
    inside: tuple[nn.Module, ...] = ()


@contextmanager
def recorded_selections(taps: Sequence[Tap], *, mark_each: bool = False) -> Iterator[list[list[Tensor]]]:
    """Yield one list a tap; each forward pass appends an int16 tensor ``(rows, k)`` on the tap's device.

    Selections of the last layer are `NOT_FINITE` where its input or its weights are no numbers. What is no number in an
    earlier layer reaches the last through the residual stream, so one look a pass is enough; `mark_each` looks in every
    layer. Logits of a router that overflow in float16 reach nothing where a sigmoid makes weights of them: there each
    layer looks at them.
    """
    readers = [selections_of(tap) for tap in taps]
    for place in range(0 if mark_each else len(taps) - 1, len(taps)):
        readers[place] = _marked(taps[place], readers[place])
    with ExitStack() as hooks:
        for place, tap in enumerate(taps):
            if tap.router is not None and next(tap.router.parameters()).dtype == torch.float16:
                readers[place] = _watched(tap, tap.router, readers[place], hooks)
        yield hooks.enter_context(_hooked(taps, readers))


@contextmanager
def recorded_weights(taps: Sequence[Tap]) -> Iterator[list[list[Tensor]]]:
    """Yield one list a tap; each forward pass appends the gate weights of its selections, float16 ``(rows, k)``."""
    with _hooked(taps, [_weights(tap) for tap in taps]) as recorded:
        yield recorded


def observe_implementations(experts: nn.Module, found: set[str]) -> Callable[[], None]:
    """Collect the implementations that compute these experts, which transformers may switch; return how to stop."""

    def note(module: nn.Module, _args: object) -> None:
        config = getattr(module, "config", None)
        found.add(getattr(config, "_experts_implementation", None) or "eager")

    return experts.register_forward_pre_hook(note).remove


def input_device(model: nn.Module) -> torch.device:
    """Return the device of a model's token ids: the CPU if its first weights lie on the disk until they are used."""
    device = next(model.parameters()).device
    return torch.device("cpu") if device.type == "meta" else device


def place_of_argument(module: nn.Module, names: Sequence[str]) -> tuple[str, int] | None:
    """Return the name and position of the first of these arguments of the module; None where it takes none of them."""
    order = list(inspect.signature(module.forward).parameters)
    return next(((name, order.index(name)) for name in names if name in order), None)


def argument(module: nn.Module, names: Sequence[str]) -> Reader | None:
    """Return a reader of the first of these arguments of the module; None where it takes none of them."""
    place = place_of_argument(module, names)
    if place is None:
        return None
    name, position = place

    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any], _output: object) -> Tensor:
        found: Tensor = kwargs[name] if name in kwargs else args[position]
        return found

    return read


def selections_of(tap: Tap) -> Reader:
    """Return a reader of the selections of a tap, which refuses what is not ``(rows, k)`` integers, as int16."""

    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> Tensor:
        chosen = tap.experts_of(args, kwargs, output)
        if chosen.ndim != 2 or chosen.is_floating_point() or chosen.dtype == torch.bool:
            kind = f"{str(chosen.dtype).removeprefix('torch.')} of shape {tuple(chosen.shape)}"
            message = f"{tap.path} was handed {kind} where (tokens, k) expert indices are expected; {HOW_TO}"
            raise ModelError(message)
        return chosen.to(torch.int16)

    return read


def _marked(tap: Tap, read: Reader) -> Reader:
    """Return a reader that gives `NOT_FINITE` for each row of which the module got what is no number."""

    def marked(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> Tensor:
        chosen = read(args, kwargs, output)
        given = [
            found for found in (*args, *kwargs.values()) if isinstance(found, Tensor) and found.is_floating_point()
        ]
        if tap.weights_of is not None:
            given.append(tap.weights_of(args, kwargs, output))
        total = torch.zeros(len(chosen), device=chosen.device)
        for found in given:
            rows = found.reshape(-1, found.shape[-1])
            if len(rows) == len(chosen):
                # NaN or infinity anywhere shows in the sum. Sums of 16-bit numbers do not overflow in 32 bits.
                total = total + rows.sum(dim=1, dtype=torch.float32 if rows.dtype.itemsize < 4 else rows.dtype)
        return chosen.masked_fill(~torch.isfinite(total)[:, None], NOT_FINITE)

    return marked


def _watched(tap: Tap, router: nn.Module, read: Reader, hooks: ExitStack) -> Reader:
    """Return a reader that gives `NOT_FINITE` for each row of which the router's output holds NaN or plus infinity.

    Minus infinity may stand for experts that are ruled out, and what overflows to it is not selected anyway.
    """
    held: list[Tensor] = []  # whether all logits of each row are numbers, by the last call

    def look(_module: nn.Module, _args: object, output: object) -> None:
        found = (one for one in (output if isinstance(output, tuple) else (output,)) if isinstance(one, Tensor))
        held[:] = [
            torch.isfinite(one.detach().reshape(-1, tap.experts).amax(dim=1))
            for one in found
            if one.dtype == torch.float16 and one.shape[-1:] == (tap.experts,)
        ]

    def marked(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> Tensor:
        chosen = read(args, kwargs, output)
        for rows in held:
            if len(rows) == len(chosen):
                chosen = torch.where(rows[:, None], chosen, NOT_FINITE)
        return chosen

    # Before the hook that reads: some taps are at the router itself.
    hooks.callback(router.register_forward_hook(look, prepend=True).remove)
    return marked


def _weights(tap: Tap) -> Reader:
    weights_of = tap.weights_of
    if weights_of is None:
        message = f"the gate weights at {tap.path} cannot be read; {HOW_TO}"
        raise ModelError(message)
    return lambda args, kwargs, output: weights_of(args, kwargs, output).to(torch.float16)


@contextmanager
def _hooked(taps: Sequence[Tap], readers: Sequence[Reader]) -> Iterator[list[list[Tensor]]]:
    recorded: list[list[Tensor]] = [[] for _ in taps]
    handles = [
        handle
        for tap, read, kept in zip(taps, readers, recorded, strict=True)
        for handle in (_hooks_within(tap, read, kept) if tap.inside else [_hook(tap, read, kept)])
    ]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


def _hook(tap: Tap, read: Reader, kept: list[Tensor]) -> torch.utils.hooks.RemovableHandle:
    calls: list[Tensor] = []

    def record(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> None:
        calls.append(read(args, kwargs, output))
        if len(calls) == tap.calls:
            kept.append(calls[0] if tap.calls == 1 else torch.cat(calls, dim=1))
            calls.clear()

    if tap.after:
        return tap.module.register_forward_hook(
            lambda _module, args, kwargs, output: record(args, kwargs, output), with_kwargs=True
        )
    return tap.module.register_forward_pre_hook(
        lambda _module, args, kwargs: record(args, kwargs, None), with_kwargs=True
    )


def _hooks_within(tap: Tap, read: Reader, kept: list[Tensor]) -> list[torch.utils.hooks.RemovableHandle]:
    """Listen to the modules within a tap's own, and read their calls together at its end."""
    calls: list[tuple[tuple[Any, ...], Mapping[str, Any]] | None] = [None] * len(tap.inside)

    def listen(place: int) -> torch.utils.hooks.RemovableHandle:
        def note(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            calls[place] = args, kwargs

        return tap.inside[place].register_forward_pre_hook(note, with_kwargs=True)

    def begin(_module: nn.Module, _args: object) -> None:
        calls[:] = [None] * len(calls)  # those of a pass that failed

    def end(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], _output: object) -> None:
        kept.append(read(args, kwargs, tuple(calls)))
        calls[:] = [None] * len(calls)

    within = [listen(place) for place in range(len(calls))]
    return [
        *within,
        tap.module.register_forward_pre_hook(begin),
        tap.module.register_forward_hook(end, with_kwargs=True),
    ]
