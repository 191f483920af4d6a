"""Configurations that were released with real models, shrunk in width and depth alone.

`released.json` holds facts: of each architecture one released model, where its values were read, how many layers it
has, and those of its values that decide routing and attention, under the names of its config.json. Its lists of layers
are cut to `depth` layers, the fewest (4 at least) that have every kind of layer the model has and two MoE layers.

Prompts of a test have some 80 tokens, and 40 are written. What bites later in a released model is cut to `BITES`:
windows, chunks, blocks and the tokens of sparse attention, the lengths at which attention is scaled anew, and those at
which longrope turns, in proportion. Everything else is as released: experts, k, groups, scores, scales, shared experts,
dense layers, biases, tied embeddings, rotary settings. End tokens keep their form, a number or a list, and stay beyond
the small vocabulary, so that every text gets its full length.
"""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

from moexray.engines.transformers.configuration import text_config

from .zoo import OVERRIDES, VOCABULARY, merged, small_sizes

# The greatest values that matter to prompts of some 80 tokens.
BITES: dict[str, int] = {
    "sliding_window": 16,
    "sliding_window_size": 16,
    "attention_chunk_size": 16,
    "index_topk": 16,
    "index_block_size": 8,
    "index_topk_blocks": 2,
    "sparse_block_size": 8,
    "sparse_topk_blocks": 2,
    "chunk_size": 16,
    "mamba_chunk_size": 16,
    "floor_scale": 100,
    "log_scaling_n_floor": 100,
}
# Longer than one prompt of `zoo_checks` with what is written after it, shorter than the next prompt alone.
LONGROPE_TURN = 75
# Where attention is scaled by the logarithm of the position in units of this length.
SCALED_LENGTH = 32
# Tokens that heavily compressed attention joins to one.
COMPRESSED = 16

# Of the least sizes of the zoo, those that are no width and no depth: a released model has its own, or the default.
_CHOICE = frozenset(
    {
        *("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
        *("num_experts_per_tok", "moe_topk", "moe_top_k", "moe_k", "top_k_experts", "n_group", "topk_group"),
        *("n_shared_experts", "first_k_dense_replace", "num_dense_layers", "zero_expert_num"),
        *("layer_types", "mlp_layer_types", "layers_block_type", "layer_group_size"),
        *("attn_layer_period", "attn_layer_offset", "use_sliding_window", "enable_moe_block"),
        *BITES,
    }
)
# Widths that hang together in another way than the zoo's: an eighth of each head is rotated, in pairs.
_OWN_WIDTHS = {"deepseek_v4": {"head_dim": 16, "qk_rope_head_dim": 2}}
_DEPTHS = ("num_hidden_layers", "num_layers")


@dataclasses.dataclass(frozen=True)
class Released:
    """One released model: its name, where its values were read, its layers, how many are built, and its values."""

    model: str
    read_in: str
    layers: int
    depth: int
    values: dict[str, Any]


@cache
def released() -> dict[str, Released]:
    """Return the released models, by architecture."""
    text = Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
    return {model_type: Released(**facts) for model_type, facts in json.loads(text).items()}


def released_config(model_type: str) -> PreTrainedConfig:
    """Return the configuration of an architecture's released model, shrunk."""
    kind = CONFIG_MAPPING[model_type]
    facts = released()[model_type]
    default = kind()
    text = text_config(default)
    part = next((name for name in default.sub_configs if getattr(default, name, None) is text), None)
    values = _bitten(facts.values, text)
    sizes = _widths(merged(small_sizes(kind), OVERRIDES.get(model_type, {})), facts.depth)
    sizes |= _OWN_WIDTHS.get(model_type, {})
    return kind(**merged(sizes, values if part is None else {part: values}))


def _widths(sizes: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return these sizes without those that a released model has itself, at this depth."""
    found: dict[str, Any] = {}
    for name, size in sizes.items():
        if isinstance(size, dict) and name.endswith("_config"):
            found[name] = _widths(size, depth)
        elif name not in _CHOICE:
            found[name] = depth if name in _DEPTHS else size
    return found


def _bitten(values: dict[str, Any], text: PreTrainedConfig) -> dict[str, Any]:
    """Return released values under the names of their class, cut where they would not matter to short prompts."""
    aliases = type(text).attribute_map
    defaults = {name: getattr(text, name, None) for name in BITES if name not in aliases}
    found = {name: size for name, size in defaults.items() if isinstance(size, int) and size}
    found |= {aliases.get(name, name): value for name, value in values.items()}
    if "compress_ratios" in found:
        found["compress_rate_hca"] = COMPRESSED
    return {name: _cut(name, value) for name, value in found.items()}


def _cut(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        cut = {key: _cut(key, one) for key, one in value.items()}
        if "long_factor" in cut:
            cut["original_max_position_embeddings"] = LONGROPE_TURN
        if "llama_4_scaling_beta" in cut:
            cut["original_max_position_embeddings"] = SCALED_LENGTH
        return cut
    if name == "eos_token_id":
        return [one + VOCABULARY for one in value] if isinstance(value, list) else value + VOCABULARY
    return min(value, BITES[name]) if isinstance(value, int) and name in BITES else value
