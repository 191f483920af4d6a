"""Router scores: the values of all experts of which a router takes its top k.

Routers return different things: logits, probabilities, or the weights of the selected experts alone. What decides is
the tensor that they take the top k of, with the bias that corrects it and without the groups that are ruled out. It is
noted where ``topk`` is called, so no architecture needs a rule of its own; that the selected experts have the greatest
of these values is checked of every token (`moexray.router_scores`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from moexray.engines.transformers.hooks import Tap, recorded_selections
from moexray.errors import ModelError
from moexray.router_scores import have_greatest

# How far the sum of probabilities may be from 1 once each is rounded to 11 bits.
_ROUNDED = 2e-3


class _Choice(TorchFunctionMode):
    """While it is on, notes what a top k over a layer's experts is taken of."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self._experts = experts
        self._is_on = False
        self._noted: Tensor | None = None

    def __torch_function__(
        self, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        output = function(*args, **given)
        name = getattr(function, "__name__", "")
        # A router that takes its experts one by one asks for the greatest of all first, then of those that are left.
        if name == "topk" or (name == "max" and self._noted is None):
            values = args[0] if args else given.get("input")
            if isinstance(values, Tensor) and values.is_floating_point() and values.shape[-1:] == (self._experts,):
                self._noted = _halved(values.detach().reshape(-1, self._experts))
        return output

    def begin(self) -> None:
        """Switch on, and forget what was noted before."""
        self.end()
        self._noted = None
        self.__enter__()  # type: ignore[no-untyped-call]  # torch does not type it
        self._is_on = True

    def end(self) -> None:
        """Switch off."""
        if self._is_on:
            self._is_on = False
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def take(self) -> Tensor | None:
        """Switch off and return what was noted last."""
        self.end()
        noted, self._noted = self._noted, None
        return noted


@contextmanager
def recorded_scores(model: nn.Module, taps: Sequence[Tap], *, lenient: bool = False) -> Iterator[list[list[Tensor]]]:
    """Yield one list a tap; each forward pass appends the scores of all experts, float16 ``(rows, experts)``.

    −∞ stands for an expert that the router ruled out, NaN and ∞ for a score that half precision cannot hold.

    Parameters
    ----------
    model, taps
        The model and its taps.
    lenient
        Leave out a layer that takes no top k, instead of raising ModelError.
    """
    recorded: list[list[Tensor]] = [[] for _ in taps]
    with ExitStack() as hooks:
        for tap, kept in zip(taps, recorded, strict=True):
            for remove in _hooked(model, tap, kept, lenient=lenient):
                hooks.callback(remove)
        yield recorded


@contextmanager
def tried_scores(model: nn.Module, taps: Sequence[Tap]) -> Iterator[Callable[[], bool]]:
    """Listen while a few tokens pass a model; what it yields then tells whether their scores explain what ran.

    They do where a token passes each layer once, the layer takes a top k, and the selected experts are those of the
    greatest scores.
    """
    if any(tap.calls > 1 for tap in taps):
        yield lambda: False
        return
    with recorded_scores(model, taps, lenient=True) as scores, recorded_selections(taps) as selections:
        yield lambda: all(map(_explain, scores, selections))


def kind_of_scores(scores: NDArray[np.float16]) -> str:
    """Return ``probabilities`` where the scores of each token and layer add up to 1, otherwise ``other``.

    Parameters
    ----------
    scores
        ``(tokens, layers, experts)``.
    """
    values = np.where(np.isneginf(scores), 0, scores).astype(np.float64)
    one = np.abs(values.sum(axis=2) - 1) < _ROUNDED
    return "probabilities" if bool(one.all()) and float(values.min()) >= 0 else "other"


def _explain(scores: Sequence[Tensor], selections: Sequence[Tensor]) -> bool:
    if [len(one) for one in scores] != [len(one) for one in selections] or not scores:
        return False
    values, experts = torch.cat(list(scores)).cpu().numpy(), torch.cat(list(selections)).cpu().numpy()
    held = ~np.isnan(values).any(axis=1)  # what half precision does not hold is refused where it is recorded
    return bool(have_greatest(values[held], experts[held]).all())


def _hooked(model: nn.Module, tap: Tap, kept: list[Tensor], *, lenient: bool) -> Iterator[Callable[[], None]]:
    """Listen from the call of a layer's block to that of its experts; yield how to undo each hook."""
    choice = _Choice(tap.experts)

    def begin(_module: nn.Module, _args: object) -> None:
        choice.begin()

    def end(_module: nn.Module, _args: object, _output: object) -> None:
        choice.end()

    def record(*_call: object) -> None:
        noted = choice.take()
        if noted is not None:
            kept.append(noted)
        elif not lenient:
            message = f"layer {tap.layer} ({tap.path}) took no top k of its experts' scores: they cannot be recorded"
            raise ModelError(message)

    block = model.get_submodule(tap.path.rpartition(".")[0])
    yield choice.end  # no hook is called where the user interrupts
    yield block.register_forward_pre_hook(begin).remove
    # Also where the block fails: what stays on would listen to the rest of the process.
    yield block.register_forward_hook(end, always_call=True).remove
    # Before other hooks, which may take a top k themselves.
    if tap.after:
        yield tap.module.register_forward_hook(record, prepend=True).remove
    else:
        yield tap.module.register_forward_pre_hook(record, prepend=True).remove


def _halved(scores: Tensor) -> Tensor:
    """Return scores in half precision; one that is too low for it becomes NaN, since −∞ has a meaning."""
    half = scores.to(torch.float16)
    return half.masked_fill(torch.isneginf(half) & ~torch.isneginf(scores), torch.nan)
