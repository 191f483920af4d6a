"""Tiny models with each property that keeps prompts from sharing a batch, small enough to matter for short ones."""

from dataclasses import dataclass
from typing import Any

import torch

KINDS = ["full_attention", "minimax_m3_sparse"] * 2
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "short_mscale": 1.0,
    "long_mscale": 1.2,
    "original_max_position_embeddings": 24,
}


@dataclass(frozen=True)
class Restricted:
    """An architecture with a property, and prompts that it changes beside each other.

    Attributes
    ----------
    model_type, sizes
        See `tiny_model`.
    lengths, new_tokens
        Tokens of prompts, and generated after each, that may not all share a batch.
    together
        Lengths of prompts that may, with as many new tokens; empty if none may.
    dtype
        The number format in which it shows.
    """

    model_type: str
    sizes: dict[str, Any]
    lengths: tuple[int, ...]
    new_tokens: int
    together: tuple[int, ...]
    dtype: torch.dtype = torch.float32


RESTRICTED = {
    "a cache that drops generated tokens": Restricted(
        "unlimited_ocr", {"text_config": {"sliding_window": 6}}, (30, 12, 5), 20, ()
    ),
    "a cache that has not yet dropped any": Restricted(
        "unlimited_ocr", {"text_config": {"sliding_window": 19}}, (), 20, (30, 12, 5)
    ),
    "sparse blocks": Restricted(
        "minimax_m3_vl",
        {
            "text_config": {
                "layer_types": KINDS,
                "index_block_size": 16,
                "index_topk_blocks": 2,
                "index_n_heads": 2,
                "index_head_dim": 16,
            }
        },
        (60, 30, 10, 5),
        6,
        (11, 7, 3),
    ),
    "long rotary positions": Restricted("phimoe", {"rope_parameters": LONGROPE}, (40, 30, 10, 5), 8, (17, 10, 3)),
    "scales by slot": Restricted(
        "llama4",
        {"text_config": {"floor_scale": 16, "attn_scale": 5.0, "no_rope_layers": [1, 0, 1, 0]}},
        (40, 30, 6, 3),
        5,
        (11, 6, 3),
    ),
    "compressed attention": Restricted("deepseek_v4", {}, (60, 12, 3), 12, ()),
    "padding that is no number": Restricted("granitemoe_swa", {}, (40, 10, 3), 5, (), torch.float64),
}
