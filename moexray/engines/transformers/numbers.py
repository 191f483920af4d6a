"""Why a router got what is no number: NaN or infinity from damaged weights, or from an overflow."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import LogitsProcessor

from moexray.engines.transformers.hooks import NOT_FINITE, Tap, recorded_selections
from moexray.engines.transformers.prompt_inputs import PromptInputs, arguments_of
from moexray.errors import ModelError

_DAMAGED = "fetch the checkpoint again, or ask its authors"
_CHECKABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class LogitNumbers:
    """Notes which sequences of a batch get logits that are no numbers; no device waits before `check`."""

    def __init__(self) -> None:
        self._noted: list[tuple[NDArray[np.int64], Tensor]] = []

    def of(self, rows: NDArray[np.int64]) -> LogitsProcessor:
        """Return what notes it of these sequences; it comes before processors that change logits."""
        return _Note(rows, self._noted)

    def check(self, model: nn.Module, prompts: Sequence[str]) -> None:
        """Refuse a batch with such a sequence: its text means nothing.

        Parameters
        ----------
        model
            The model.
        prompts
            The prompts' ids.

        Raises
        ------
        ModelError
            If there is one; it is named.
        """
        for rows, greatest in self._noted:
            wrong = ~torch.isfinite(greatest).cpu().numpy()
            if wrong.any():
                name = prompts[rows[wrong][0]]
                message = f"prompt {name!r}: the logits are NaN or infinity, though all routers got numbers: "
                raise ModelError(message + _cause(model, []))


class _Note(LogitsProcessor):  # type: ignore[misc]  # transformers publishes no types
    def __init__(self, rows: NDArray[np.int64], noted: list[tuple[NDArray[np.int64], Tensor]]) -> None:
        self._rows, self._noted = rows, noted

    def __call__(self, _token_ids: Tensor, logits: Tensor) -> Tensor:
        """Keep the greatest logit of each sequence, which is NaN if any is; some models give −∞ to unused tokens."""
        self._noted.append((self._rows, logits.amax(dim=1)))
        return logits


def check_routers(model: nn.Module, taps: Sequence[Tap]) -> None:
    """Refuse a router whose own tensors hold NaN: a bias may decide what is selected, and enter no weight.

    Raises
    ------
    ModelError
        If there is one; its tensor is named.
    """
    for tap in taps:
        block = tap.path.rpartition(".")[0]
        for name, tensor in _tensors(model.get_submodule(block)):
            if "expert" not in name and tensor.ndim <= 2 and bool(torch.isnan(tensor).any()):
                message = f"{block}.{name} holds NaN, so what layer {tap.layer} selects means nothing: {_DAMAGED}"
                raise ModelError(message)


def check_numbers(
    model: nn.Module, taps: Sequence[Tap], prompt: str, inputs: PromptInputs, experts: NDArray[np.int16]
) -> None:
    """Refuse a sequence of which a router got, or gave weights, that are no numbers; name the first such layer.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    prompt
        The prompt's id.
    inputs, experts
        What the model read of it, with what was generated, and what was recorded of it ``(tokens, layers, k)``.

    Raises
    ------
    ModelError
        If there is such a layer.
    """
    if (experts != NOT_FINITE).all():
        return
    place = _first_layer(model, taps, inputs)
    if place is None:
        message = (
            f"prompt {prompt!r} is routed by NaN or infinity beside longer prompts, and by numbers when it runs alone: "
            "give `batch_tokens=1`"
        )
        raise ModelError(message)
    tap = taps[place]
    later = [one.path.partition(f".{one.layer}.")[0] + f".{one.layer}." for one in taps if one.layer > tap.layer]
    message = (
        f"prompt {prompt!r}: the router of layer {tap.layer} ({tap.path}) got NaN or infinity, so what it selects "
        f"means nothing: {_cause(model, later)}"
    )
    raise ModelError(message)


@torch.inference_mode()
def _first_layer(model: nn.Module, taps: Sequence[Tap], inputs: PromptInputs) -> int | None:
    """Return the place of the first layer that gets what is no number when a sequence runs alone."""
    with recorded_selections(taps, mark_each=True) as recorded:
        model(**arguments_of(inputs, model), use_cache=False)
    marked = (any(bool((rows == NOT_FINITE).any()) for rows in passes) for passes in recorded)
    return next((place for place, found in enumerate(marked) if found), None)


def _cause(model: nn.Module, later: Sequence[str]) -> str:
    """Say why there are values that are no numbers; `later` are the beginnings of tensors that are of no account."""
    for name, tensor in _tensors(model):
        if not name.startswith(tuple(later)) and not bool(torch.isfinite(tensor).all()):
            return f"{name} holds NaN or infinity: {_DAMAGED}"
    dtype = next(model.parameters()).dtype
    if dtype == torch.float16:
        return 'numbers beyond 65504 overflow in float16: choose `dtype="bfloat16"` or `dtype="float32"`'
    return f"all weights are numbers, so its arithmetic overflows in {str(dtype).removeprefix('torch.')}"


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.dtype in _CHECKABLE and tensor.device.type != "meta":
            yield name, tensor
