"""Norms of experts' outputs: each expert's own output for each token that is sent to it, by the experts module itself.

Experts modules hand over the weighted sum of a token's experts. The module is called again with one selection a token
and a weight of 1, so that it returns the output of that expert; whether these add up to what it handed over is checked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moexray.engines.transformers.hooks import SELECTION_NAMES, WEIGHT_NAMES, Tap, place_of_argument
from moexray.errors import ModelError

# How far the weighted outputs may add up to something else, as a share of the largest number.
_PRECISION = {torch.float16: 2e-2, torch.bfloat16: 1e-1}
_EXACT = 1e-3


def can_be_measured(taps: Sequence[Tap]) -> bool:
    """Whether the experts modules of all layers take their selections and weights as arguments."""
    return all(
        not tap.after and tap.calls == 1 and None not in (_place(tap, SELECTION_NAMES), _place(tap, WEIGHT_NAMES))
        for tap in taps
    )


class Norms:
    """Sums over tokens of gate weight × norm of an expert's output, and the tokens of each expert.

    Attributes
    ----------
    sums, tokens
        ``(layers, experts)``.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        shape = len(taps), max(tap.experts for tap in taps)
        self.sums, self.tokens = np.zeros(shape), np.zeros(shape, dtype=np.int64)

    def add(self, place: int, experts: Tensor, values: Tensor) -> None:
        """Add values of selections, both ``(tokens, k)``."""
        chosen, found = experts.flatten().cpu().numpy(), values.double().flatten().cpu().numpy()
        width = self.sums.shape[1]
        self.sums[place] += np.bincount(chosen, found, minlength=width)
        self.tokens[place] += np.bincount(chosen, minlength=width)

    def means(self) -> NDArray[np.float64]:
        """Return the mean over the tokens of each expert, 0 without tokens."""
        return self.sums / np.maximum(self.tokens, 1)


@contextmanager
def recorded_norms(taps: Sequence[Tap]) -> Iterator[Norms]:
    """Yield norms that add up while tokens pass the model, padding included: run one sequence at a time.

    Raises
    ------
    ModelError
        If the experts of a layer cannot be run one by one, or do not add up to what the layer hands over.
    """
    norms = Norms(taps)
    with ExitStack() as hooks:
        for place, tap in enumerate(taps):
            for remove in _hooked(tap, place, norms):
                hooks.callback(remove)
        yield norms


def _hooked(tap: Tap, place: int, norms: Norms) -> Iterator[Callable[[], None]]:
    waiting: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        experts, weights = _given(tap, args, kwargs)
        total: Tensor | None = None
        values = torch.zeros(weights.shape, dtype=torch.float64, device=weights.device)
        for rank in range(experts.shape[1]):
            own = _alone(module, tap, args, kwargs, experts[:, rank : rank + 1])
            part = own.double().reshape(len(experts), -1)
            weighted = part * weights[:, rank : rank + 1].double()
            total = weighted if total is None else total + weighted
            values[:, rank] = weights[:, rank].double() * part.norm(dim=1)
        waiting[:] = [] if total is None else [total]
        norms.add(place, experts, values)

    def after(_module: nn.Module, args: object, output: Any) -> None:
        del args
        handed = output[0] if isinstance(output, tuple) else output
        total = waiting.pop()
        apart = float((handed.double().reshape(total.shape) - total).abs().max())
        largest = float(total.abs().max())
        if not apart <= _PRECISION.get(handed.dtype, _EXACT) * max(largest, 1e-9):
            raise ModelError(_refusal(tap, "its experts' weighted outputs do not add up to what the layer hands over"))

    yield tap.module.register_forward_pre_hook(before, with_kwargs=True).remove
    yield tap.module.register_forward_hook(after).remove


def _given(tap: Tap, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the selections and weights that a module is called with ``(tokens, k)``."""
    assert tap.weights_of is not None
    experts, weights = tap.experts_of(args, kwargs, None), tap.weights_of(args, kwargs, None)
    if bool((experts < 0).any()) or int(experts.max()) >= tap.experts:
        raise ModelError(_refusal(tap, "it selects fewer experts for some tokens than for others"))
    return experts.long(), weights


def _alone(module: nn.Module, tap: Tap, args: tuple[Any, ...], kwargs: Mapping[str, Any], experts: Tensor) -> Tensor:
    """Return the output of one expert a token."""
    selection, weight = _place(tap, SELECTION_NAMES), _place(tap, WEIGHT_NAMES)
    assert selection is not None
    assert weight is not None
    positional, named = list(args), dict(kwargs)
    for (name, position), one in ((selection, experts), (weight, None)):
        before = named[name] if name in named else positional[position]
        value = torch.ones_like(before[:, :1]) if one is None else one.to(before.dtype)
        if name in named:
            named[name] = value
        else:
            positional[position] = value
    try:
        found = module.forward(*positional, **named)  # without hooks: this is no call that is recorded
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise ModelError(_refusal(tap, f"its experts cannot be run one by one ({error})")) from error
    output: Tensor = found[0] if isinstance(found, tuple) else found
    return output


def _place(tap: Tap, names: Sequence[str]) -> tuple[str, int] | None:
    return place_of_argument(tap.module, names)


def _refusal(tap: Tap, reason: str) -> str:
    return f"the output norms of layer {tap.layer} ({tap.path}) cannot be measured: {str(reason).splitlines()[0]}"
