"""Routing rules carried out at the taps: hooks that change what the experts are handed, before anything is recorded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moexray.engines.rules import FixedK, Given, PerLayer, Rule, Without, k_of_pass
from moexray.engines.transformers.hooks import SELECTION_NAMES, WEIGHT_NAMES, Tap, place_of_argument
from moexray.engines.transformers.keeping import Keep, by_weight, keep_of
from moexray.engines.transformers.places import Places
from moexray.engines.transformers.routers import Router, masked, narrowed
from moexray.engines.transformers.skipping import index_skipped, skips
from moexray.errors import ModelError
from moexray.routing import RouterLayout

# Their loops fail where a token has one selection.
_NEVER_ONE = {"LongcatFlashExperts"}


@dataclass(frozen=True)
class Ruling:
    """A rule that is being carried out.

    Attributes
    ----------
    taps
        The taps of all layers; they read what the rule made of the selections.
    places
        To be told which prompts run.
    banned
        By the place of a layer, experts that its router must not select.
    """

    taps: list[Tap]
    places: Places
    banned: Mapping[int, Sequence[int]]

    def check(self, experts: NDArray[np.int16]) -> None:
        """Refuse a router that selected an expert whose logit is minus infinity: ``(…, layers, k)``.

        Raises
        ------
        ModelError
            If there is one.
        """
        for place, banned in self.banned.items():
            found = np.intersect1d(experts[..., place, :], np.asarray(banned))
            if len(found):
                reason = (
                    f"the router selects expert {found[0]} though its logit is minus infinity (its group has too few "
                    "others, or a table decides): experts of this layer can be skipped, not replaced"
                )
                raise _refusal(self.taps[place], reason)


@contextmanager
def carried_out(
    taps: Sequence[Tap], layout: RouterLayout, rule: Rule, routers: Sequence[Router | None]
) -> Iterator[Ruling]:
    """Let a model follow a rule that `moexray.engines.rules.check_rule` accepts; afterwards it is as before.

    Parameters
    ----------
    taps, layout
        The taps of the model's MoE layers, and their layout.
    rule
        The rule.
    routers
        The router of each layer, where one was found.

    Raises
    ------
    ModelError
        If this model cannot follow it; the layer is named.
    """
    places, ruled = Places(layout.segments), list(taps)
    banned: dict[int, Sequence[int]] = {}
    with ExitStack() as stack:
        for place, (tap, k, router) in enumerate(zip(taps, k_of_pass(layout), routers, strict=True)):
            if rule.layers is not None and tap.layer not in rule.layers:
                continue
            layer = _Layer(place, tap, k, router)
            ruled[place] = _begin(stack, rule, layer, places)
            if isinstance(rule, Without) and rule.meaning == "replaced" and rule.experts.get(tap.layer):
                banned[place] = rule.experts[tap.layer]
        yield Ruling(ruled, places, banned)


@dataclass(frozen=True)
class _Layer:
    """A layer that follows a rule: its place, tap, selections at one pass, and router."""

    place: int
    tap: Tap
    k: int
    router: Router | None


def _refusal(tap: Tap, reason: str) -> ModelError:
    return ModelError(f"{tap.path}: {reason}")


def _begin(stack: ExitStack, rule: Rule, layer: _Layer, places: Places) -> Tap:
    """Begin a rule in one layer and return the tap that records it: the layer's own if nothing is changed there."""
    if isinstance(rule, FixedK | PerLayer):
        return _begin_fewer(stack, rule, layer, rule.k if isinstance(rule, FixedK) else rule.k[layer.place])
    if isinstance(rule, Given | Without):
        experts = rule.experts.get(layer.tap.layer, ())
        if not experts:
            return layer.tap
        if isinstance(rule, Given):
            _check_number(layer, len(experts))
            return _writing(stack, layer, _forced(experts, k=layer.k, rescaled=_is_rescaled(rule, layer)))
        if rule.meaning == "replaced":
            return _begin_replacing(stack, layer, experts)
    keep = keep_of(rule, layer.tap, place=layer.place, k=layer.k, places=places)
    if keep is None:
        return layer.tap
    stack.enter_context(index_skipped(layer.tap.module))
    return _writing(stack, layer, _some(keep, rescaled=_is_rescaled(rule, layer)))


def _begin_replacing(stack: ExitStack, layer: _Layer, experts: Sequence[int]) -> Tap:
    if layer.router is None or layer.router.product is None:
        reason = "no router was found whose logits can be masked: its experts can be skipped, not replaced"
        raise _refusal(layer.tap, reason)
    stack.enter_context(masked(layer.router, experts))
    return layer.tap


def _begin_fewer(stack: ExitStack, rule: Rule, layer: _Layer, k: int) -> Tap:
    """Let a layer keep k selections: those that its own router selects then, or those of the greatest weights."""
    if k == layer.k:
        return layer.tap
    _check_number(layer, k)
    if rule.normalisation != "native":
        return _writing(stack, layer, _fewest(k, of=layer.k, rescaled=_is_rescaled(rule, layer)))
    if layer.router is None:
        reason = (
            "no router was found that can be told to select fewer experts: name `kept` or `rescaled` as the "
            "normalisation"
        )
        raise _refusal(layer.tap, reason)
    stack.enter_context(narrowed(layer.router, k))
    return _padded(layer.tap, layer.k)


def _check_number(layer: _Layer, number: int) -> None:
    if number == 1 and type(layer.tap.module).__name__ in _NEVER_ONE:
        reason = "the model's own code fails where a token has one selection: keep two or more"
        raise _refusal(layer.tap, reason)


def _is_rescaled(rule: Rule, layer: _Layer) -> bool:
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
        raise _refusal(layer.tap, reason)
    return layer.router.native == "rescaled"


@dataclass(frozen=True)
class _Written:
    """What the experts are handed, and what is recorded: −1 and weight 0 where a selection is left out."""

    experts: Tensor
    weights: Tensor
    recorded: Tensor
    recorded_weights: Tensor


# From an experts module, and its selections and weights ``(rows, k)``, to what it gets instead.
_Write = Callable[[nn.Module, Tensor, Tensor], _Written]


def _writing(stack: ExitStack, layer: _Layer, write: _Write) -> Tap:
    """Return the tap that reads what a hook writes, which comes before all others at the layer's experts."""
    tap, last = layer.tap, list[_Written]()
    selection, weight = (place_of_argument(tap.module, names) for names in (SELECTION_NAMES, WEIGHT_NAMES))
    if selection is None or weight is None or tap.weights_of is None:
        reason = "its experts take no gate weights as an argument, so no rule can change them"
        raise _refusal(tap, reason)
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


def _padded(tap: Tap, k: int) -> Tap:
    """Return a tap that reads fewer selections as k, of which the last are none."""
    experts_of, weights_of = tap.experts_of, tap.weights_of
    return replace(
        tap,
        experts_of=lambda *call: _widened(experts_of(*call), k, -1),
        weights_of=None if weights_of is None else lambda *call: _widened(weights_of(*call), k, 0),
    )


def _widened(found: Tensor, k: int, filling: int) -> Tensor:
    return nn.functional.pad(found, (0, k - found.shape[1]), value=filling)


def _fewest(k: int, *, of: int, rescaled: bool) -> _Write:
    """Hand over the k selections with the greatest weights: a narrower tensor, which costs less everywhere."""

    def write(_module: nn.Module, experts: Tensor, weights: Tensor) -> _Written:
        order = by_weight(weights)[:, :k]
        fewer, their = experts.gather(1, order), weights.gather(1, order)
        if rescaled:
            their = _scaled(their, weights)
        return _Written(fewer, their, _widened(fewer, of, -1), _widened(their, of, 0))

    return write


def _forced(given: Sequence[int], *, k: int, rescaled: bool) -> _Write:
    """Hand over given experts, with the greatest weights in their order."""
    fewest = _fewest(len(given), of=k, rescaled=rescaled)

    def write(module: nn.Module, experts: Tensor, weights: Tensor) -> _Written:
        found = fewest(module, experts, weights)
        forced = torch.tensor(given, dtype=experts.dtype, device=experts.device).expand(len(experts), -1).contiguous()
        return replace(found, experts=forced, recorded=_widened(forced, k, -1))

    return write


def _some(keep: Keep, *, rescaled: bool) -> _Write:
    """Hand over those selections that are kept, in the places that they have."""

    def write(module: Any, experts: Tensor, weights: Tensor) -> _Written:
        kept = keep(experts, weights)
        their = weights.where(kept, 0)
        if rescaled:
            their = _scaled(their, weights)
        handed_over = experts.where(kept, module.num_experts) if skips(module) else experts
        return _Written(handed_over, their, experts.where(kept, -1), their)

    return write


def _scaled(fewer: Tensor, weights: Tensor) -> Tensor:
    """Return weights scaled so that each row sums to what all weights did; rows of zeros stay."""
    wide = weights.dtype if weights.dtype.itemsize >= 4 else torch.float32
    before, after = (one.sum(1, keepdim=True, dtype=wide) for one in (weights, fewer))
    return (fewer * (before / after).where(after != 0, 0)).to(fewer.dtype)
