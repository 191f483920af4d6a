"""Every MoE architecture of the installed transformers, found in its sources and built tiny."""

import dataclasses
import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES, model_type_to_module_name

from moexray.engines.transformers.architectures import model_class
from moexray.engines.transformers.configuration import greatest, text_config

MODELS = Path(transformers.__file__).parent / "models"
VOCABULARY = 52

# What a configuration may call its sizes, and how small each can be.
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "vocab_size_per_layer_input": VOCABULARY,
    "unpadded_vocab_size": VOCABULARY,
    "hidden_size": 32,
    "hidden_size_per_layer_input": 8,
    "text_hidden_size": 32,
    "out_hidden_size": 32,
    "output_hidden_size": 32,
    "projection_hidden_dim": 32,
    "adapter_in_dim": 32,
    "adapter_out_dim": 32,
    "adapter_input_size": 32,
    "adapter_output_size": 32,
    "intermediate_size": 16,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "share_expert_dim": 16,
    "moe_shared_expert_intermediate_size": 16,
    "expert_ffn_hidden_size": 16,
    "ffn_hidden_size": 16,
    "num_hidden_layers": 4,
    "num_layers": 4,
    "encoder_layers": 1,
    "depth": 1,
    "num_attention_heads": 4,
    "num_heads": 4,
    "swa_num_attention_heads": 4,
    "num_key_value_heads": 2,
    "swa_num_key_value_heads": 2,
    "kv_n_heads": 2,
    "head_dim": 8,
    "swa_head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "num_experts": 8,
    "num_local_experts": 8,
    "n_routed_experts": 8,
    "moe_num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_topk": 2,
    "moe_top_k": 2,
    "moe_k": 2,
    "top_k_experts": 2,
    "n_group": 4,
    "topk_group": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_dense_layers": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "index_n_heads": 16,  # with few, scores of many tokens tie at 0
    "index_head_dim": 16,
    "index_topk": 8,
    "index_kpool": 4,
    "attention_chunk_size": 8,
    "block_size": 8,
    "chunk_size": 16,
    "mamba_chunk_size": 16,
    "o_lora_rank": 16,
    "o_groups": 2,
    "linear_head_dim": 8,
    "linear_num_heads": 4,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "sliding_window": 4,
    "sliding_window_size": 4,
    "router_hidden_size": 16,
    "rel_extent": 16,
    "rotary_dim": 4,
    "projector_hidden_size": 32,
    "dense_intermediate_size": 16,
    "shared_intermediate_size": 16,
    "shared_experts_intermediate_size": 16,
    "downsample_hidden_size": 8,
}

# What an architecture's own constraints ask for beyond that.
OVERRIDES: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"layer_group_size": 2},
    "beam": {"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]},
    "dbrx": {"d_model": 32, "attn_config": {"rope_theta": 1e4, "clip_qkv": 8.0}},
    "dots1": {"layer_types": ["full_attention", "sliding_attention"] * 2},
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}},
    "dots3_note": {
        "text_config": {
            "num_key_value_heads": 4,
            "layer_types": ["indexed_attention", "sliding_attention"] * 2,
            "swa_num_attention_heads": 2,  # as released: other heads in these layers
            "swa_num_key_value_heads": 2,
            "swa_q_lora_rank": 16,
            "swa_kv_lora_rank": 16,
            "swa_head_dim": 16,
            "swa_qk_nope_head_dim": 8,
            "swa_v_head_dim": 8,
        },
        "vision_config": {"mlp_layer_types": ["dense", *["sparse"] * 3]},
    },
    "ernie4_5_vl_moe": {
        "text_config": {
            "moe_intermediate_size": [16, 8],
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
        }
    },
    "gemma4": {"text_config": {"enable_moe_block": True, "pad_token_id": 0}},
    "glm5_next": {
        "text_config": {
            "num_key_value_heads": 4,
            "qk_rope_head_dim": 0,
            "head_dim": 0,
            "mlp_layer_types": ["dense", *["sparse"] * 3],
        }
    },
    "glm4v_moe": {"text_config": {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 0, 1]}}},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 0},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention"] * 2,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_d_state": 8,
    },
    "hy_v4_vl": {"text_config": {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}}},
    "inkling_mm_model": {"text_config": {"layer_types": ["hybrid", "hybrid_sliding"] * 2}},
    "inkling2": {"text_config": {"n_layers_per_attn_res_block": 2, "layer_types": ["hybrid", "hybrid_sliding"] * 2}},
    "inkling2_loop": {
        "text_config": {
            "n_layers_per_attn_res_block": 1,
            "loop_layer_index_start": 1,
            "loop_layer_index_end": 3,
            "layer_types": ["hybrid", "hybrid_sliding"] * 2,
        }
    },
    "kolibri1": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "laguna": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "longcat_flash": {"zero_expert_num": 4},
    "mellum": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "minimax_m3_vl": {
        "text_config": {
            "layer_types": ["full_attention", "minimax_m3_sparse"] * 2,
            "index_n_heads": 2,
            "index_block_size": 8,
            "index_topk_blocks": 2,
        }
    },
    "muse_spark": {
        "text_config": {"moe_hidden_size": 16},
        "audio_config": {"hidden_sizes": [8] * 4, "depths": [1] * 4},
    },
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp", "moe"],
        "num_hidden_layers": 5,
        "mamba_num_heads": 4,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
    },
    "qwen2_moe": {"use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 50, "text_config": {"sliding_window": None}},
    "qwen4_exp": {
        "text_config": {
            "indexer_n_heads": 2,
            "indexer_kv_heads": 1,
            "indexer_head_dim": 8,
            "indexer_budget": 8,
            "indexer_compress_ratio": 2,
        }
    },
    "step3p7": {
        "text_config": {
            "pad_token_id": 0,
            "mlp_layer_types": ["dense", *["sparse"] * 3],
            "layer_types": ["full_attention", "sliding_attention"] * 2,
            "num_sliding_attention_heads": 2,  # as released: other heads in these layers
        }
    },
    "zaya": {"num_experts_per_tok": 1},
}

# How a router chooses: sizes of `SMALL` that a released model has otherwise.
_CHOICE = ("num_experts_per_tok", "moe_topk", "moe_top_k", "moe_k", "top_k_experts", "n_group", "topk_group")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_MOST_EXPERTS = 64

# Where the router of transformers 5.23 refuses float64.
FLOAT32 = {"inkling2"}


@cache
def folders() -> tuple[str, ...]:
    """Return the folders of models whose sources define experts, or a router's top-k over them."""
    pattern = re.compile(r"^class \w*(?:Experts|ExpertGLU|NaiveMoe|MoE|Moe|MoeBlock|SparseMLP)\b", re.MULTILINE)
    sources = sorted(MODELS.glob("*/modeling_*.py"))
    return tuple(sorted({path.parent.name for path in sources if pattern.search(path.read_text(encoding="utf-8"))}))


def model_types(folder: str) -> list[str]:
    """Return the types that configurations of this folder may name, whole models first, parts of them after."""
    types = [name for name in CONFIG_MAPPING_NAMES if model_type_to_module_name(name) == folder]
    return sorted(types, key=lambda name: (name.endswith("_text"), len(name)))


def tiny_config(model_type: str, **sizes: Any) -> PreTrainedConfig:
    """Return the configuration of an architecture at its least size, but for the `sizes` given."""
    kind = CONFIG_MAPPING[model_type]
    return kind(**merged(merged(small_sizes(kind), OVERRIDES.get(model_type, {})), sizes))


def released_choice(model_type: str) -> dict[str, Any]:
    """Return sizes for `tiny_config` with which routers choose as in the released model that is the class's default.

    Its k and its groups, among as many experts, 64 at most: width and depth alone are tiny.
    """
    config = CONFIG_MAPPING[model_type]()
    text = text_config(config)
    names = {field.name for field in dataclasses.fields(type(text))} | set(text.attribute_map)
    names -= {alias for alias, name in text.attribute_map.items() if name in names and name in SMALL}
    found = {name: greatest(text, name) for name in (*_CHOICE, *_EXPERTS) if name in names}
    sizes = {
        name: min(number, _MOST_EXPERTS) if name in _EXPERTS else number
        for name, number in found.items()
        if number is not None and number > 0
    }
    part = next((name for name in config.sub_configs if getattr(config, name, None) is text), None)
    return sizes if part is None else {part: sizes}


def tiny_model(model_type: str, dtype: torch.dtype | None = None, **sizes: Any) -> PreTrainedModel:
    """Return an architecture's model at its least size, but for the `sizes` given."""
    return model_of(tiny_config(model_type, **sizes), dtype)


def model_of(config: PreTrainedConfig, dtype: torch.dtype | None = None, *, images: bool = False) -> PreTrainedModel:
    """Return random weights large enough that tokens scatter over experts and that attention matters."""
    torch.manual_seed(20260311)
    if dtype is None:
        dtype = torch.float32 if config.model_type in FLOAT32 else torch.float64
    model = model_class(config.model_type, images=images).from_config(config, dtype=dtype).eval()
    if dtype == torch.float64:
        model.set_experts_implementation("eager")  # torch's grouped product refuses float64
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=parameter.shape[-1] ** -0.5)
            elif name.endswith(("bias", "sinks")):
                parameter.normal_(std=0.2)
        for name, buffer in model.named_buffers():
            if name.endswith(("bias", "biases")):  # those that correct which experts are chosen
                buffer.normal_(std=0.05)
            elif name.endswith("tid2eid"):
                experts = model.config.n_routed_experts
                buffer.copy_(torch.rand(len(buffer), experts).argsort(1)[:, : buffer.shape[1]])
    return model


def small_sizes(kind: type[PreTrainedConfig]) -> dict[str, Any]:
    """Return those of `SMALL` that a class of configurations has, under the names it knows."""
    names = {field.name for field in dataclasses.fields(kind)}
    aliases = kind.attribute_map
    small = {name: value for name, value in SMALL.items() if name in names or name in aliases}
    small = {name: value for name, value in small.items() if aliases.get(name) not in small}
    if "kv_lora_rank" in names:
        small["num_key_value_heads"] = small["num_attention_heads"]  # latent attention has a key for every query head
    for name, part in _parts(kind).items():
        small[name] = part
    return small


def _parts(kind: type[PreTrainedConfig]) -> dict[str, dict[str, Any]]:
    """Return the nested configurations, small; those that name their kind by a model type keep it."""
    parts = {}
    for name, part in {**(kind.sub_configs or {}), **(getattr(kind, "sub_configs_defaults", None) or {})}.items():
        if isinstance(part, type) and part is not AutoConfig:
            parts[name] = small_sizes(part)
        elif getattr(part, "model_type", None) and not isinstance(part, type):
            parts[name] = {"model_type": part.model_type, **small_sizes(CONFIG_MAPPING[part.model_type])}
    return parts


def merged(small: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return `small` with the values of `own`, which go first, nested configurations value by value."""
    result = dict(small)
    for name, value in own.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict) and name.endswith("_config"):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result
