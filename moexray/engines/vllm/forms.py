"""Whether an installed vLLM returns routed experts in the form that is read here, told by its features."""

from typing import Any

from moexray.errors import ModelError

_NEWER = "install vllm>=0.28"


def check_form(outputs: Any, sampling_parameters: Any, *, version: str) -> None:
    """Refuse a vLLM that returns no routed experts, or unreliable ones; forks and nightly builds carry any version.

    Parameters
    ----------
    outputs
        The module ``vllm.outputs``.
    sampling_parameters
        The class ``vllm.SamplingParams``.
    version
        For messages.

    Raises
    ------
    ModelError
        If it is such a one.
    """
    if hasattr(sampling_parameters, "routed_experts_prompt_start"):
        return  # all tokens but the last, of all layers: 0.22 and later
    if "prompt_routed_experts" in outputs.RequestOutput.__init__.__code__.co_varnames:
        message = (
            f"vLLM {version} returns routed experts of 0 for tokens that it finds in its prefix cache (as 0.21 did): "
            f"{_NEWER}"
        )
    elif "routed_experts" in getattr(outputs.CompletionOutput, "__annotations__", {}):
        message = (
            f"vLLM {version} loses routed experts where requests end, and lets engines overwrite each other's (as "
            f"0.14 to 0.20 did): {_NEWER}"
        )
    else:
        message = f"vLLM {version} returns no routed experts: {_NEWER}"
    raise ModelError(message)
