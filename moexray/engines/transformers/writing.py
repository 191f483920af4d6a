"""What a rule hands to a layer's experts in the place of the router's selections, and what is recorded of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from moexray.engines.rules import Rule
from moexray.engines.transformers.hooks import SELECTION_NAMES, WEIGHT_NAMES, Tap, place_of_argument
from moexray.engines.transformers.keeping import Keep, by_weight
from moexray.engines.transformers.routers import Router
from moexray.engines.transformers.skipping import skips
from moexray.errors import ModelError

# Their loops fail where a token has one selection.
_NEVER_ONE = {"LongcatFlashExperts"}


@dataclass(frozen=True)
class RuledLayer:
    """A layer that follows a rule: its place, tap, selections at one pass, and router."""

    place: int
    tap: Tap
    k: int
    router: Router | None


def refusal(tap: Tap, reason: str) -> ModelError:
    """Return the error that a layer cannot follow a rule."""
    return ModelError(f"{tap.path}: {reason}")


def narrowable(layer: RuledLayer) -> Router:
    """Return the layer's router, which can be told to select fewer experts; refuse a layer without one."""
    if layer.router is None:
        reason = (
            "no router was found that can be told to select fewer experts: name `kept` or `rescaled` as the "
            "normalisation"
        )
        raise refusal(layer.tap, reason)
    return layer.router


def maskable(layer: RuledLayer) -> Router:
    """Return the layer's router, whose logits can be masked; refuse a layer without one."""
    if layer.router is None or layer.router.product is None:
        reason = "no router was found whose logits can be masked: its experts can be skipped, not replaced"
        raise refusal(layer.tap, reason)
    return layer.router


def check_number(layer: RuledLayer, number: int) -> None:
    """Refuse a layer whose code fails where all tokens have this many selections."""
    if number == 1 and type(layer.tap.module).__name__ in _NEVER_ONE:
        reason = "the model's own code fails where a token has one selection: keep two or more"
        raise refusal(layer.tap, reason)


def is_rescaled(rule: Rule, layer: RuledLayer) -> bool:
    """Whether the weights that are left are scaled to the sum of all."""
    if rule.normalisation != "native":
        return rule.normalisation == "rescaled"
    if layer.k == 1:
        return False
    if layer.router is None or layer.router.native is None:
        reason = (
            "how this router weighs fewer selections is neither `kept` nor `rescaled`, or cannot be tried: name one of "
            "these as the normalisation"
        )
        raise refusal(layer.tap, reason)
    return layer.router.native == "rescaled"


@dataclass(frozen=True)
class Written:
    """What the experts are handed, and what is recorded: −1 and weight 0 where a selection is left out."""

    experts: Tensor
    weights: Tensor
    recorded: Tensor
    recorded_weights: Tensor


# From an experts module, and its selections and weights ``(rows, k)``, to what it gets instead.
Write = Callable[[nn.Module, Tensor, Tensor], Written]


def writing(stack: ExitStack, layer: RuledLayer, write: Write) -> Tap:
    """Return the tap that reads what a hook writes, which comes before all others at the layer's experts."""
    tap, last = layer.tap, list[Written]()
    selection, weight = (place_of_argument(tap.module, names) for names in (SELECTION_NAMES, WEIGHT_NAMES))
    if selection is None or weight is None or tap.weights_of is None:
        reason = "its experts take no gate weights as an argument, so no rule can change them"
        raise refusal(tap, reason)
    read_experts, read_weights = tap.experts_of, tap.weights_of

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        found = write(module, read_experts(args, kwargs, None), read_weights(args, kwargs, None))
        last[:] = [found]
        positional, named = list(args), dict(kwargs)
        for (name, position), value in ((selection, found.experts), (weight, found.weights)):
            if name in named:
                named[name] = value
            else:
                positional[position] = value
        return tuple(positional), named

    stack.callback(tap.module.register_forward_pre_hook(hook, with_kwargs=True, prepend=True).remove)
    return replace(
        tap,
        experts_of=lambda _args, _kwargs, _output: last[0].recorded,
        weights_of=lambda _args, _kwargs, _output: last[0].recorded_weights,
    )


def padded(tap: Tap, k: int) -> Tap:
    """Return a tap that reads fewer selections as k, of which the last are none."""
    experts_of, weights_of = tap.experts_of, tap.weights_of
    return replace(
        tap,
        experts_of=lambda *call: widened(experts_of(*call), k, -1),
        weights_of=None if weights_of is None else lambda *call: widened(weights_of(*call), k, 0),
    )


def widened(found: Tensor, k: int, filling: int) -> Tensor:  # (rows, k)
    """Return columns, and after them as many of one value as make k."""
    return nn.functional.pad(found, (0, k - found.shape[1]), value=filling)


def fewest(k: int, *, of: int, rescaled: bool) -> Write:
    """Hand over the k selections with the greatest weights: a narrower tensor, which costs less everywhere."""

    def write(_module: nn.Module, experts: Tensor, weights: Tensor) -> Written:
        order = by_weight(weights)[:, :k]
        fewer, their = experts.gather(1, order), weights.gather(1, order)
        if rescaled:
            their = _scaled(their, weights)
        return Written(fewer, their, widened(fewer, of, -1), widened(their, of, 0))

    return write


def forced(given: Sequence[int], *, k: int, rescaled: bool) -> Write:
    """Hand over given experts, with the greatest weights in their order."""
    greatest = fewest(len(given), of=k, rescaled=rescaled)

    def write(module: nn.Module, experts: Tensor, weights: Tensor) -> Written:
        found = greatest(module, experts, weights)
        forced = torch.tensor(given, dtype=experts.dtype, device=experts.device).expand(len(experts), -1).contiguous()
        return replace(found, experts=forced, recorded=widened(forced, k, -1))

    return write


def some(keep: Keep, *, rescaled: bool) -> Write:
    """Hand over those selections that are kept, in the places that they have."""

    def write(module: Any, experts: Tensor, weights: Tensor) -> Written:
        kept = keep(experts, weights)
        their = weights.where(kept, 0)
        if rescaled:
            their = _scaled(their, weights)
        handed_over = experts.where(kept, module.num_experts) if skips(module) else experts
        return Written(handed_over, their, experts.where(kept, -1), their)

    return write


def spread(module: Any, fewer: Tensor, their: Tensor, experts: Tensor) -> Written:
    """Return other selections in as many columns as the router's own: what is left over is left out.

    Parameters
    ----------
    module
        The experts module.
    fewer, their
        What is selected instead, and its weights ``(rows, fewer)``.
    experts
        The router's own selections ``(rows, k)``. Those that are not among the others fill the columns, so that no
        expert stands in a row twice, where the experts cannot step over a selection.
    """
    k, weight = experts.shape[1], widened(their, experts.shape[1], 0)
    others = ~(experts[:, :, None] == fewer[:, None, :]).any(2)
    order = others.int().argsort(dim=1, descending=True, stable=True)[:, : k - fewer.shape[1]]
    rest = experts.gather(1, order)
    if skips(module):
        rest = torch.full_like(rest, module.num_experts)
    return Written(torch.cat([fewer, rest], dim=1), weight, widened(fewer, k, -1), weight)


def _scaled(fewer: Tensor, weights: Tensor) -> Tensor:
    """Return weights scaled so that each row sums to what all weights did; rows of zeros stay."""
    wide = weights.dtype if weights.dtype.itemsize >= 4 else torch.float32
    before, after = (one.sum(1, keepdim=True, dtype=wide) for one in (weights, fewer))
    return (fewer * (before / after).where(after != 0, 0)).to(fewer.dtype)
