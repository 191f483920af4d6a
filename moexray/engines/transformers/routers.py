"""The router of each layer: how it is told to select fewer experts, how it weighs them then, and its logits.

What a router does is tried out, not guessed from its name or configuration: in one small forward pass each is called
again with a smaller k, and with two experts masked. Whatever does not behave as expected is left out, so that a rule
that needs it is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from moexray.engines.transformers.hooks import Tap, input_device

# What routers call the number of experts that they select.
_K_NAMES = ("top_k", "num_experts_per_tok", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
# Functions that may multiply hidden states by the router's matrix.
_PRODUCTS = (F.linear, torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)
_CHOICES = (torch.topk, Tensor.topk)
# Tokens that are tried. Their ids are those of plain characters in most vocabularies.
_PROBE, _FIRST_ID = (2, 10), 100
# Relative error within which weights count as equal.
_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 4e-2}


@dataclass(frozen=True)
class Router:
    """The module that selects a layer's experts.

    Attributes
    ----------
    module
        The module; its output holds the selections and their weights as they reach the experts.
    holder, name, k
        The object and attribute that hold k, and its value; `narrowed` changes it during the module's calls.
    native
        How it weighs fewer selections: ``kept`` or ``rescaled``; None for another way.
    product
        The place, among the products in a call, of the one that makes the logits; None if none does.
    experts
        Experts that it selects from.
    """

    module: nn.Module
    holder: Any
    name: str
    k: int
    native: str | None
    product: int | None
    experts: int


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


@contextmanager
def narrowed(router: Router, k: int) -> Iterator[None]:
    """Let a router select `k` experts; the attribute is changed while the router runs, since others may read it."""

    def begin(_module: nn.Module, _args: object) -> None:
        setattr(router.holder, router.name, k)

    def end(_module: nn.Module, _args: object, _output: object) -> None:
        setattr(router.holder, router.name, router.k)

    handles = [
        router.module.register_forward_pre_hook(begin),
        router.module.register_forward_hook(end, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        setattr(router.holder, router.name, router.k)


@contextmanager
def masked(router: Router, experts: Sequence[int]) -> Iterator[None]:
    """Let a router choose among the other experts: the logits of these are minus infinity.

    So are the scores among which it selects: a bias may have been added to them.
    """
    active: list[_Masking] = []

    def begin(_module: nn.Module, _args: object) -> None:
        active.append(_Masking(router.product, experts, router.experts))
        active[-1].__enter__()  # type: ignore[no-untyped-call]

    def end(_module: nn.Module, _args: object, _output: object) -> None:
        if active:
            active.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    handles = [
        router.module.register_forward_pre_hook(begin),
        router.module.register_forward_hook(end, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        while active:  # a hook is not called where the user interrupts: what stays on would mask all that runs later
            end(router.module, None, None)


class _Masking(TorchFunctionMode):
    """Sets some of `width` experts to minus infinity in one product and in what is selected from."""

    def __init__(self, product: int | None, experts: Sequence[int], width: int) -> None:
        super().__init__()
        self._product, self._experts, self._width = product, list(experts), width
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(
        self, function: Callable[..., Any], _types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and mask its result if it is the product that makes the logits."""
        if function in _CHOICES and self._product is not None and args and args[0].shape[-1] == self._width:
            args = (self._masked(args[0]), *args[1:])
        found = function(*args, **(kwargs or {}))
        if function in _PRODUCTS:
            self.shapes.append(tuple(found.shape))
            if len(self.shapes) - 1 == self._product:
                found = self._masked(found)
        return found

    def _masked(self, values: Tensor) -> Tensor:
        columns = torch.tensor(self._experts, dtype=torch.long, device=values.device)
        return values.index_fill(-1, columns, -torch.inf)


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
        return Router(module, holder, name, self._k, native or None, product, self._tap.experts)

    def _product(self, call: Any, places: tuple[int, int], selected: Tensor) -> int | None:
        """Return which product makes the logits: masking the most selected experts there makes them disappear."""
        module, _, _, args, kwargs, _ = call
        with _Masking(None, [], self._tap.experts) as noted:
            module.forward(*args, **kwargs)
        wide = [place for place, shape in enumerate(noted.shapes) if shape[-1] == self._tap.experts]
        wide = wide or [place for place, shape in enumerate(noted.shapes) if shape[-1] > self._tap.experts]
        if not wide:
            return None
        banned = selected.flatten().bincount(minlength=self._tap.experts).topk(min(2, self._tap.experts - self._k))
        with _Masking(wide[-1], banned.indices.tolist(), self._tap.experts):
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
