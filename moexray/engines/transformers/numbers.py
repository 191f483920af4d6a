"""Why a router got what is no number: NaN or infinity from damaged weights, or from an overflow."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from moexray.engines.transformers.hooks import NOT_FINITE, Tap, input_device, recorded_selections
from moexray.errors import ModelError

_CHECKABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_numbers(
    model: nn.Module, taps: Sequence[Tap], prompt: str, token_ids: NDArray[np.int32], experts: NDArray[np.int16]
) -> None:
    """Refuse a sequence of which a router got, or gave weights, that are no numbers; name the first such layer.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    prompt
        The prompt's id.
    token_ids, experts
        What was recorded of it ``(tokens,)``, ``(tokens, layers, k)``.

    Raises
    ------
    ModelError
        If there is such a layer.
    """
    if (experts != NOT_FINITE).all():
        return
    place = _first_layer(model, taps, token_ids)
    if place is None:
        message = (
            f"prompt {prompt!r} is routed by NaN or infinity beside longer prompts, and by numbers when it runs alone: "
            "give `batch_tokens=1`"
        )
        raise ModelError(message)
    tap = taps[place]
    message = (
        f"prompt {prompt!r}: the router of layer {tap.layer} ({tap.path}) got NaN or infinity, so what it selects "
        f"means nothing: {_cause(model, tap.layer, taps)}"
    )
    raise ModelError(message)


@torch.inference_mode()
def _first_layer(model: nn.Module, taps: Sequence[Tap], token_ids: NDArray[np.int32]) -> int | None:
    """Return the place of the first layer that gets what is no number when a sequence runs alone."""
    tokens = torch.from_numpy(token_ids.astype(np.int64))[None].to(input_device(model))
    with recorded_selections(taps, mark_each=True) as recorded:
        model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
    marked = (any(bool((rows == NOT_FINITE).any()) for rows in passes) for passes in recorded)
    return next((place for place, found in enumerate(marked) if found), None)


def _cause(model: nn.Module, layer: int, taps: Sequence[Tap]) -> str:
    later = [tap.path.partition(f".{tap.layer}.")[0] + f".{tap.layer}." for tap in taps if tap.layer > layer]
    for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
        if name.startswith(tuple(later)) or parameter.dtype not in _CHECKABLE or parameter.device.type == "meta":
            continue
        if not bool(torch.isfinite(parameter).all()):
            return f"{name} holds NaN or infinity: fetch the checkpoint again, or ask its authors"
    dtype = next(model.parameters()).dtype
    if dtype == torch.float16:
        return 'numbers beyond 65504 overflow in float16: choose `dtype="bfloat16"` or `dtype="float32"`'
    return f"all weights are numbers, so its arithmetic overflows in {str(dtype).removeprefix('torch.')}"
