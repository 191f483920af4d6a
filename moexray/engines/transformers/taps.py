"""Taps: the module of each MoE layer at which selections are recorded.

Nearly every MoE model of transformers 5 hands ``(hidden_states, selected experts, gate weights)``
to one experts module a layer. These are the experts that compute, whatever the router did before
(bias correction, expert groups, hashing), so nothing is recomputed from router logits.
All other models have a tap in `special_taps`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn

from moexray.engines.transformers.architectures import refusal
from moexray.engines.transformers.experts import is_built_as_experts, is_called_experts
from moexray.engines.transformers.hooks import (
    HOW_TO,
    SELECTION_NAMES,
    WEIGHT_NAMES,
    Tap,
    argument,
    input_device,
    recorded_selections,
)
from moexray.engines.transformers.special_taps import SPECIAL_TAPS, WITH_IMAGES
from moexray.errors import ModelError

# Two sequences of three tokens: enough to notice rows that are split, repeated or left out.
_PROBE = (2, 3)
# What torch says of a top k of fewer than k.
_MORE_THAN_THERE_ARE = "selected index k out of range"


def find_taps(model: nn.Module, *, images: bool = False) -> list[Tap]:
    """Return the tap of each MoE layer of the text decoder, in the order of the layers.

    Parameters
    ----------
    model
        The model.
    images
        Whether its prompts hold images: experts of the decoder that no text reaches are then recorded as well.

    Raises
    ------
    ModelError
        If there is none: a dense model, or one whose selections reach no module that can be hooked.
    """
    check_type(getattr(getattr(model, "config", None), "model_type", ""))
    decoder_path, decoder = decoder_of(model)
    taps: list[Tap] = []
    without_tap: list[str] = []
    claimed: list[str] = []
    for path, module in decoder.named_modules(prefix=decoder_path):
        if any(path.startswith(f"{owner}.") for owner in claimed):
            continue
        write = _special_tap(module, images=images)
        layer = _layer_of(path.removeprefix(decoder_path))
        if write is not None and layer is not None:
            claimed.append(path)
            taps.extend(write(path, layer, module))
        elif layer is not None and (tap := _generic_tap(path, layer, module)) is not None:
            taps.append(tap)
        elif is_called_experts(path, module) or (
            layer is not None and is_built_as_experts(decoder, path.removeprefix(decoder_path).lstrip("."), module)
        ):
            without_tap.append(path)
    _check_complete(model, taps, without_tap)
    taps = sorted((replace(tap, router=_router(model, tap)) for tap in taps), key=lambda tap: tap.layer)
    for first, second in pairwise(taps):
        if first.layer == second.layer:
            message = f"two experts modules claim layer {first.layer}: {first.path} and {second.path}; {HOW_TO}"
            raise ModelError(message)
    return taps


def _special_tap(module: nn.Module, *, images: bool) -> Callable[[str, int, nn.Module], list[Tap]] | None:
    name = type(module).__name__
    return WITH_IMAGES.get(name, SPECIAL_TAPS.get(name)) if images else SPECIAL_TAPS.get(name)


def _router(model: nn.Module, tap: Tap) -> nn.Module | None:
    """Return the module beside a layer's experts that has a row of weights for each of them; None if there is none."""
    beside = model.get_submodule(tap.path.rpartition(".")[0]).children()
    return next((module for module in (tap.module, *beside) if _has_rows(module, tap.experts)), None)


def _has_rows(module: nn.Module, number: int) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and len(weight) == number


def check_type(model_type: str) -> None:
    """Raise ModelError if models of this type cannot be recorded, whatever modules they have."""
    reason = refusal(model_type)
    if reason is not None:
        message = f"{model_type} models cannot be recorded: {reason}"
        raise ModelError(message)


@torch.inference_mode()
def selections_per_token(model: nn.Module, taps: Sequence[Tap], token: int) -> tuple[int, ...]:
    """Run a small batch and return how many experts each layer selects for a token.

    Raises
    ------
    ModelError
        If a token passes a layer's experts more than once, or not at all.
    """
    with recorded_selections(taps) as recorded:
        try:
            model(input_ids=torch.full(_PROBE, token, device=input_device(model)), use_cache=False)
        except RuntimeError as error:
            if _MORE_THAN_THERE_ARE not in str(error):
                raise
            message = (
                f"{type(model).__name__} is to select more experts for a token than a layer has, by its config.json: "
                "download the checkpoint anew, or correct the number of experts per token there"
            )
            raise ModelError(message) from error
    tokens = _PROBE[0] * _PROBE[1]
    for tap, selections in zip(taps, recorded, strict=True):
        rows = [len(one) for one in selections]
        if rows != [tokens]:
            message = f"{tokens} tokens passed {tap.path} as {rows or 'no'} rows instead of once each; {HOW_TO}"
            raise ModelError(message)
    return tuple(selections[0].shape[1] for selections in recorded)


def _generic_tap(path: str, layer: int, module: nn.Module) -> Tap | None:
    experts_of = argument(module, SELECTION_NAMES)
    experts = getattr(module, "num_experts", None)
    if isinstance(experts, int) and experts < 1:
        message = f"layer {layer} has {experts} experts, by its config.json: correct the number there"
        raise ModelError(message)
    if experts_of is None or not isinstance(experts, int):
        return None
    return Tap(layer, path, experts, module, experts_of, argument(module, WEIGHT_NAMES), holders=(module,))


def decoder_of(model: nn.Module) -> tuple[str, nn.Module]:
    """Return the text decoder and its name: towers for other modalities may have experts too, which no text reaches."""
    get_decoder = getattr(model, "get_decoder", None)
    if not callable(get_decoder):
        return "", model
    decoder = get_decoder()
    return next((path, module) for path, module in model.named_modules() if module is decoder)


def _layer_of(path: str) -> int | None:
    """Return the first number in a path within the decoder: its outermost list is that of the layers."""
    return next((int(part) for part in path.split(".") if part.isdigit()), None)


def _check_complete(model: nn.Module, taps: list[Tap], without_tap: list[str]) -> None:
    """Refuse a model of whose experts only some, or none, have a tap."""
    within = tuple(f"{path}." for path in [*(tap.path for tap in taps), *without_tap])
    left = [path for path in without_tap if not path.startswith(within)]
    name = type(model).__name__
    if left:
        names = " or ".join(SELECTION_NAMES)
        others = f", though {len(taps)} other experts modules do" if taps else ""
        message = f"{name}: {left[0]} does not take its selected experts as {names}{others}; {HOW_TO}"
        raise ModelError(message)
    if not taps:
        lists = [path for path, _ in model.named_modules() if "expert" in path.lower()]
        found = f"{lists[0]} is not told which are selected; {HOW_TO}" if lists else "it has no experts"
        message = f"{name} hands its selected experts to no module that can be hooked: {found}"
        raise ModelError(message)
