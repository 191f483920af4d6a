"""Taps of the architectures that do not hand their selected experts to an experts module as others do.

A tap is one function from ``(path, layer, module)`` to the taps of that module, and one line of
`SPECIAL_TAPS`, under the name of the module's class.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from moexray.engines.transformers.hooks import SELECTION_NAMES, WEIGHT_NAMES, Reader, Tap, argument
from moexray.errors import ModelError


def ernie4_5_vl(path: str, layer: int, module: Any) -> list[Tap]:
    """ERNIE 4.5 VL has experts for text and others for images: only the former see a text prompt."""
    experts = module.text_moe.experts
    return [_experts_tap(f"{path}.text_moe.experts", layer, experts, experts.num_experts)]


def ernie4_5_vl_with_images(path: str, layer: int, module: Any) -> list[Tap]:
    """ERNIE 4.5 VL with images: its experts for images are numbered after those for text, in one layer.

    The block hands the rows of its text tokens to one group and those of images to the other, each in their order.
    """
    groups = (module.text_moe.experts, module.vision_moe.experts)
    starts = (0, int(groups[0].num_experts))
    k, others = (int(part.gate.top_k) for part in (module.text_moe, module.vision_moe))
    if k != others:
        message = (
            f"layer {layer} sends a token of text to {k} experts and one of an image to {others}: it cannot be one"
        )
        raise ModelError(message)
    kinds = _optional(module, "moe_mm_token_type_ids")

    def joined(names: tuple[str, ...], numbered: Sequence[int], fill: int) -> Reader:
        readers = [_needed(group, names) for group in groups]

        def read(args: tuple[Any, ...], kwargs: Mapping[str, Any], calls: Any) -> Tensor:
            text, images = (
                None if call is None else one(call[0], call[1], None) + number
                for one, call, number in zip(readers, calls, numbered, strict=True)
            )
            if images is None:  # all tokens are text
                assert text is not None
                return text
            of_image = kinds(args, kwargs).reshape(-1).bool()
            rows = images.new_full((len(of_image), k), fill)
            rows[of_image] = images
            if text is not None:
                rows[~of_image] = text
            return rows

        return read

    experts_of, weights_of = joined(SELECTION_NAMES, starts, -1), joined(WEIGHT_NAMES, (0, 0), 0)
    experts = sum(int(group.num_experts) for group in groups)
    tap = Tap(layer, f"{path}.text_moe", experts, module, experts_of, weights_of, after=True, holders=groups)
    return [replace(tap, special=True, writable=False, starts=starts, inside=groups)]


def jetmoe(path: str, layer: int, module: Any) -> list[Tap]:
    """JetMoE's router returns its tokens sorted by expert, and the number of tokens of each expert."""
    router, k = module.router, module.router.top_k

    def experts_of(_args: object, _kwargs: object, output: tuple[Any, ...]) -> Tensor:
        order, _, _, sizes, _ = output
        by_expert = torch.repeat_interleave(torch.tensor(sizes, device=order.device))
        return torch.empty_like(order).scatter_(0, order, by_expert).view(-1, k)

    def weights_of(_args: object, _kwargs: object, output: tuple[Any, ...]) -> Tensor:
        order, _, gates, _, _ = output
        return torch.empty_like(gates).scatter_(0, order, gates).view(-1, k)

    holders = (module.input_linear, module.output_linear)
    tap = Tap(layer, f"{path}.router", router.num_experts, router, experts_of, weights_of, holders=holders)
    return [replace(tap, after=True, special=True, writable=False)]


def jetmoe_attention(_path: str, _layer: int, _module: Any) -> list[Tap]:
    """JetMoE's attention routes its query heads; only the experts of its MLPs are recorded."""
    return []


def llama4(path: str, layer: int, module: Any) -> list[Tap]:
    """Llama 4 sends every token through every expert, scaled by a score that is 0 where it was not selected."""

    def experts_of(_args: object, _kwargs: object, output: tuple[Tensor, Tensor]) -> Tensor:
        scores, experts = output[0].topk(module.top_k, dim=1)
        return experts.masked_fill(scores == 0, -1)

    def weights_of(_args: object, _kwargs: object, output: tuple[Tensor, Tensor]) -> Tensor:
        return output[0].topk(module.top_k, dim=1).values

    holders = (module.experts,)
    tap = Tap(layer, f"{path}.router", module.num_experts, module.router, experts_of, weights_of, holders=holders)
    return [replace(tap, after=True, special=True, writable=False)]


def longcat_flash(path: str, layer: int, module: Any) -> list[Tap]:
    """LongCat Flash numbers experts that compute nothing after those that do; its router chooses among both."""
    return [_experts_tap(path, layer, module, module.total_experts)]


def looped(path: str, layer: int, module: Any) -> list[Tap]:
    """Inkling 2 Loop sends tokens several times through some layers, each time to newly chosen experts."""
    config = module.config
    within = config.loop_layer_index_start <= layer < config.loop_layer_index_end
    return [_experts_tap(path, layer, module, module.num_experts, calls=config.loop_num_passes if within else 1)]


def zaya(path: str, layer: int, module: Any) -> list[Tap]:
    """Zaya lets a token skip its experts, handing over expert 0 with weight 0: recorded as one after the last."""
    experts = module.experts
    skipped = experts.num_experts
    selected, weights = _needed(experts, SELECTION_NAMES), _needed(experts, WEIGHT_NAMES)

    def experts_of(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> Tensor:
        return selected(args, kwargs, output).masked_fill(weights(args, kwargs, output) == 0, skipped)

    tap = Tap(layer, f"{path}.experts", skipped + 1, experts, experts_of, weights, holders=(experts,))
    return [replace(tap, special=True, writable=False)]


SPECIAL_TAPS: dict[str, Callable[[str, int, nn.Module], list[Tap]]] = {
    "Ernie4_5_VLMoeMoeBlock": ernie4_5_vl,
    "Inkling2LoopExperts": looped,
    "JetMoeMoA": jetmoe_attention,
    "JetMoeMoE": jetmoe,
    "Llama4TextMoe": llama4,
    "LongcatFlashExperts": longcat_flash,
    "ZayaSparseMoeBlock": zaya,
}

# Those that a model has another tap for when it is opened to see images.
WITH_IMAGES: dict[str, Callable[[str, int, nn.Module], list[Tap]]] = {
    "Ernie4_5_VLMoeMoeBlock": ernie4_5_vl_with_images,
}


def _experts_tap(path: str, layer: int, module: nn.Module, experts: int, *, calls: int = 1) -> Tap:
    """Return the tap of an experts module that takes its selections as an argument."""
    experts_of, weights_of = _needed(module, SELECTION_NAMES), _needed(module, WEIGHT_NAMES)
    return Tap(layer, path, experts, module, experts_of, weights_of, calls=calls, holders=(module,), special=True)


def _needed(module: nn.Module, names: tuple[str, ...]) -> Reader:
    reader = argument(module, names)
    if reader is None:
        message = f"{type(module).__name__} takes none of {names}"
        raise TypeError(message)
    return reader


def _optional(module: nn.Module, name: str) -> Callable[[tuple[Any, ...], Mapping[str, Any]], Any]:
    """Return a reader of an argument that may be left out, and is None then."""
    position = list(inspect.signature(module.forward).parameters).index(name)
    return lambda args, kwargs: kwargs.get(name, args[position] if position < len(args) else None)
