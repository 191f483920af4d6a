"""How the router of each layer is found.

What a router does is tried out, not guessed from its name or configuration: in one small forward pass each is called
again with a smaller k, and with two experts masked. Whatever does not behave as expected is left out, so that a rule
that needs it is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from moexray.engines.transformers.hooks import Tap, input_device
from moexray.engines.transformers.routers import Masking, Router

# What routers call the number of experts that they select.
_K_NAMES = ("top_k", "num_experts_per_tok", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
# Tokens that are tried. Their ids are those of plain characters in most vocabularies.
_PROBE, _FIRST_ID = (2, 10), 100
# Relative error within which weights count as equal.
_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 4e-2}


@torch.inference_mode()
def find_routers(model: nn.Module, taps: Sequence[Tap], top_k: Sequence[int], embeddings: int) -> list[Router | None]:
    """Return the router of each layer; None where none is found that can be told to select fewer.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    top_k
        Experts that each layer selects for a token at one pass.
    embeddings
        How many token ids the model has embeddings of.
    """
    trials = [
        _Trial(model, tap, k) if k > 1 and tap.writable and tap.weights_of is not None else None
        for tap, k in zip(taps, top_k, strict=True)
    ]
    tokens = ((torch.arange(_PROBE[0] * _PROBE[1]) + _FIRST_ID) % embeddings).view(_PROBE)
    try:
        model(input_ids=tokens.to(input_device(model)), use_cache=False)
    finally:
        for trial in trials:
            if trial is not None:
                trial.stop()
    return [None if trial is None else trial.router for trial in trials]


class _Trial:
    """Tries the routers of one layer during one forward pass of the model."""

    def __init__(self, model: nn.Module, tap: Tap, k: int) -> None:
        self.router: Router | None = None
        self._tap, self._k = tap, k
        self._calls: list[tuple[nn.Module, Any, str, Any, Any, Any]] = []
        block = model.get_submodule(tap.path.rpartition(".")[0])
        inside = set(tap.module.modules())
        self._handles = [tap.module.register_forward_pre_hook(self._decide, with_kwargs=True)]
        for module in block.modules():
            holder = None if module in inside else _holder(module, k)
            if holder is not None:
                hook = self._noting(module, *holder)
                self._handles.append(module.register_forward_hook(hook, with_kwargs=True))

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _noting(self, module: nn.Module, holder: Any, name: str) -> Callable[..., None]:
        def note(_module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self._calls.append((module, holder, name, args, kwargs, output))

        return note

    def _decide(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        """Try the modules that ran before the experts; the first call of a layer is enough."""
        weights_of = self._tap.weights_of
        if self.router is None and weights_of is not None:
            selected, weights = self._tap.experts_of(args, kwargs, None), weights_of(args, kwargs, None)
            for call in self._calls:
                places = _places(call[-1], selected, weights)
                if places is not None:
                    self.router = self._tried(call, places, selected, weights)
        self._calls.clear()

    def _tried(self, call: Any, places: tuple[int, int], selected: Tensor, weights: Tensor) -> Router | None:
        module, holder, name, args, kwargs, _ = call
        found = set[str]()
        for k in sorted({1, (self._k + 1) // 2, self._k - 1}):
            setattr(holder, name, k)
            try:
                output = module.forward(*args, **kwargs)
            finally:
                setattr(holder, name, self._k)
            fewer, their = output[places[0]], output[places[1]]
            if fewer.shape != (len(selected), k) or their.shape != fewer.shape:
                return None
            found.add(_weighing(selected, weights, fewer, their))
        native = found.pop() if len(found) == 1 else ""
        product = self._product(call, places, selected)
        return Router(module, holder, name, self._k, native or None, places, product, self._tap.experts)

    def _product(self, call: Any, places: tuple[int, int], selected: Tensor) -> int | None:
        """Return which product makes the logits: masking the most selected experts there makes them disappear."""
        module, _, _, args, kwargs, _ = call
        with Masking(None, [], self._tap.experts) as noted:
            module.forward(*args, **kwargs)
        wide = [place for place, shape in enumerate(noted.shapes) if shape[-1] == self._tap.experts]
        wide = wide or [place for place, shape in enumerate(noted.shapes) if shape[-1] > self._tap.experts]
        if not wide:
            return None
        banned = selected.flatten().bincount(minlength=self._tap.experts).topk(min(2, self._tap.experts - self._k))
        with Masking(wide[-1], banned.indices.tolist(), self._tap.experts):
            output = module.forward(*args, **kwargs)
        others, their = output[places[0]], output[places[1]]
        right = not torch.isin(others, banned.indices).any() and torch.isfinite(their).all()
        return wide[-1] if len(banned.indices) and bool(right) else None


def _holder(module: nn.Module, k: int) -> tuple[Any, str] | None:
    """Return the object and the attribute that hold k: the module itself, or its configuration."""
    for holder in (module, getattr(module, "config", None)):
        for name in _K_NAMES:
            value = vars(holder).get(name) if holder is not None else None
            if isinstance(value, int) and not isinstance(value, bool) and value == k:
                return holder, name
    return None


def _places(output: Any, selected: Tensor, weights: Tensor) -> tuple[int, int] | None:
    """Return where a module's output holds the selections and the weights that the experts get."""
    parts = output if isinstance(output, tuple) else ()
    same = [isinstance(one, Tensor) and one.shape == selected.shape and not one.is_floating_point() for one in parts]
    experts = [place for place, fits in enumerate(same) if fits and torch.equal(parts[place], selected)]
    gates = [
        place
        for place, one in enumerate(parts)
        if isinstance(one, Tensor)
        and one.shape == weights.shape
        and one.is_floating_point()
        and _error(one, weights) <= _tolerance(weights)
    ]
    return (experts[0], gates[0]) if experts and gates else None


def _weighing(selected: Tensor, weights: Tensor, fewer: Tensor, their: Tensor) -> str:
    """Return how fewer selections are weighed beside all k of them; an empty text for another way."""
    same = selected[:, :, None] == fewer[:, None, :]  # (tokens, k, fewer)
    if not bool(same.any(1).all()):
        return ""
    kept = (same * weights.double()[:, :, None]).sum(1)
    rescaled = kept * (weights.double().sum(1) / kept.sum(1))[:, None]
    errors = {name: _error(their, found) for name, found in (("kept", kept), ("rescaled", rescaled))}
    closest = min(errors, key=lambda name: errors[name])
    return closest if errors[closest] <= max(_tolerance(weights), _tolerance(their)) else ""


def _error(one: Tensor, other: Tensor) -> float:
    """Return the greatest relative error."""
    return float(((one.double() - other.double()).abs() / other.double().abs().clamp_min(1e-12)).max())


def _tolerance(weights: Tensor) -> float:
    return _TOLERANCE.get(weights.dtype, 1e-4)
