"""Options of vLLM's own that a capture takes, and those that it cannot: they break recording, or are set already."""

from collections.abc import Mapping
from typing import Any

from moexray.errors import CaptureError

# Set by the engine: what to give instead, if anything.
_OURS = {
    **dict.fromkeys(("model", "tokenizer", "model_weights", "served_model_name", "hf_config_path"), "`model`"),
    **dict.fromkeys(("revision", "tokenizer_revision", "code_revision"), "`revision`"),
    "dtype": "`dtype`",
    "trust_remote_code": "`trust_remote_code=True`",
    **dict.fromkeys(("enable_return_routed_experts", "skip_tokenizer_init", "runner", "convert", "tokens_only"), ""),
}
_ELSEWHERE = "what is computed on other machines or kept outside of the cache comes without its routing"
_OTHER_MODEL = "it changes the model, whose layers and weights would be described wrongly"
_DRAFTS = "recording beside a draft model was not tested"
_CONTEXT = "vLLM records no routing with context parallelism: leave it out, or take tensor_parallel_size"
# These break recording wherever they are set.
_BREAKING = {
    **dict.fromkeys(("kv_transfer_config", "ec_transfer_config", "kv_offloading_size"), _ELSEWHERE),
    **dict.fromkeys(("speculative_config", "spec_method", "spec_model", "spec_tokens"), _DRAFTS),
    **dict.fromkeys(("hf_overrides", "model_class_overrides"), _OTHER_MODEL),
    "kv_sharing_fast_prefill": "tokens of prompts skip layers then",
    "logits_processors": "they change what the model writes",
}
# These break recording above 1.
_SIZES = {
    "pipeline_parallel_size": "vLLM records no routing with pipeline parallelism: leave it out, or take "
    "tensor_parallel_size",
    "prefill_context_parallel_size": _CONTEXT,
    "decode_context_parallel_size": _CONTEXT,
    "data_parallel_size": "vLLM wants a process of its own for each part: run a capture for each shard of the prompts, "
    "and merge",
}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that break recording, and those that the engine sets by itself.

    Raises
    ------
    CaptureError
        If there is one, which is named with the reason.
    """
    for name, value in options.items():
        if name in _OURS:
            instead = f"give {_OURS[name]} instead" if _OURS[name] else "leave it out"
            message = f"`engine_options` names {name}, which the engine vllm sets: {instead}"
        elif name in _BREAKING and value not in (None, False, 0):
            message = f"`engine_options` sets {name}: {_BREAKING[name]}; leave it out"
        elif name in _SIZES and value not in (None, 1, "1"):
            message = f"`engine_options` sets {name} {value!r}: {_SIZES[name]}"
        elif name == "load_format" and value == "dummy":
            message = "`engine_options` sets load_format 'dummy': random weights say nothing about the model"
        else:
            continue
        raise CaptureError(message)
