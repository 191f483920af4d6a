"""A model's profile, from its configuration alone: its MoE layers, the tap that records it, and its size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from moexray.engines.transformers.checkpoint import folder_of
from moexray.engines.transformers.checkpoint_config import dtype_of, read_config
from moexray.engines.transformers.configuration import TOP_K, value
from moexray.engines.transformers.failures import explained
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.loading import build_skeleton
from moexray.engines.transformers.sharing import sharing_of
from moexray.engines.transformers.taps import check_type, find_taps
from moexray.errors import ModelError

_DTYPES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class ModelProfile:
    """A model as its configuration describes it.

    Attributes
    ----------
    model_type
        The name of its architecture.
    tap
        ``generic``, ``special`` or ``refused``.
    reason
        Why it is refused, runs one prompt at a time, or limits which prompts share a batch; otherwise empty.
    layers, experts, top_k
        See `moexray.routing.RouterLayout`; empty where it is refused. A k of 0 is unknown before the model runs.
    parameters, active_parameters
        All parameters, and those that one token uses; 0 where the model's type is refused, since it is not built.
    dtype
        The number format of its weights.
    gigabytes
        Size of its weights in the usual number formats; a quantized checkpoint is smaller.
    """

    model_type: str
    tap: str
    reason: str
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]
    parameters: int
    active_parameters: int
    dtype: str
    gigabytes: dict[str, float]


def profile_of(name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> ModelProfile:
    """Return the profile of `name`: ``scale``, a local folder, or an id on the Hugging Face hub; no weights are read.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    config = read_config(name, revision=revision, trust_remote_code=trust_remote_code)
    return profile_of_config(config, name, trust_remote_code=trust_remote_code)


def profile_of_config(config: Any, name: str, *, trust_remote_code: bool = False) -> ModelProfile:
    """Return the profile of a configuration's model; one that cannot be recorded says why."""
    try:
        check_type(config.model_type)
    except ModelError as error:
        return _refused(config, name, str(error), parameters=0)
    with explained(name):
        skeleton = build_skeleton(config, trust_remote_code=trust_remote_code)
    parameters = sum(parameter.numel() for parameter in skeleton.parameters())
    try:
        taps = find_taps(skeleton)
    except ModelError as error:
        return _refused(config, name, str(error), parameters=parameters)
    top_k = tuple(top_k_of(skeleton, tap) for tap in taps)
    return ModelProfile(
        model_type=config.model_type,
        tap="special" if any(tap.special for tap in taps) else "generic",
        reason=_sharing(config),
        layers=tuple(tap.layer for tap in taps),
        experts=tuple(tap.experts for tap in taps),
        top_k=top_k,
        parameters=parameters,
        active_parameters=parameters - _idle(taps, top_k),
        dtype=_dtype(config, name),
        gigabytes=_gigabytes(parameters),
    )


def _refused(config: Any, name: str, reason: str, *, parameters: int) -> ModelProfile:
    dtype = _dtype(config, name)
    return ModelProfile(
        config.model_type, "refused", reason, (), (), (), parameters, parameters, dtype, _gigabytes(parameters)
    )


def _dtype(config: Any, name: str) -> str:
    return str(dtype_of(config, folder_of(name))).removeprefix("torch.")


def _sharing(config: Any) -> str:
    sharing = sharing_of(config)
    if sharing.alone:
        return f"prompts run one by one: {sharing.alone}"
    return f"not all prompts share a batch: {sharing.reason}" if sharing.reason else ""


def _gigabytes(parameters: int) -> dict[str, float]:
    return {dtype: parameters * size / 1e9 for dtype, size in _DTYPES.items()}


def top_k_of(model: nn.Module, tap: Tap) -> int:
    """Return k as the layer's modules give it, or the configuration, or 0."""
    block = model.get_submodule(tap.path.rpartition(".")[0])
    for module in block.modules():
        for holder, names in ((module, ("top_k",)), (getattr(module, "config", None), TOP_K)):
            found = value(holder, *names)
            if isinstance(found, int):
                return found * tap.calls
    return 0


def _idle(taps: Sequence[Tap], top_k: Sequence[int]) -> int:
    """Return the number of parameters of experts that a token is not sent to."""
    idle = 0
    for tap, k in zip(taps, top_k, strict=True):
        parameters = [parameter for holder in tap.holders for parameter in holder.parameters()]
        of_one = sum(parameter.numel() // min(len(parameter), tap.experts) for parameter in parameters)
        idle += max(sum(parameter.numel() for parameter in parameters) - (k or tap.experts) * of_one, 0)
    return idle
