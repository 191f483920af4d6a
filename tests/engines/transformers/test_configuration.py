"""Whatever shape a configuration has, what is read from it is a number or nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, Ernie4_5_VLMoeConfig, MixtralConfig, PreTrainedConfig

from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.checkpoint_config import dtype_of, quantization_of
from moexray.engines.transformers.configuration import greatest, layer_kinds, rope_types, text_config, value
from moexray.engines.transformers.resources import sizes_by_config

RECORDED = [architecture.model_type for architecture in moe_architectures() if architecture.tap != "refused"]


@pytest.mark.parametrize("model_type", RECORDED)
def test_the_default_configuration_of_every_architecture_is_read(model_type: str) -> None:
    """Defaults are shaped as released models are: other heads in some layers, lists, parts within parts."""
    config = CONFIG_MAPPING[model_type]()
    text = text_config(config)
    # A token has at least a hidden state of a hundred numbers, and no model keeps a gigabyte for it.
    assert 2 * 100 < sizes_by_config(text, 2).of_prompt < 10**9
    assert sizes_by_config(text, 4).of_prompt == 2 * sizes_by_config(text, 2).of_prompt
    assert isinstance(dtype_of(config), torch.dtype)
    assert quantization_of(config) is None
    assert (greatest(text, "max_position_embeddings") or 1) > 0
    assert all(isinstance(kind, str) for kind in layer_kinds(text))
    assert all(settings.get("rope_type", settings.get("type")) for settings in rope_types(text))


def test_the_greatest_of_layers_that_differ_counts() -> None:
    """Half of the layers have twice the heads: that is at most twice the memory, and more than of the small ones."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4}
    small, large = (MixtralConfig(**sizes, head_dim=head) for head in (16, 32))
    mixed = MixtralConfig(**sizes, head_dim=16, per_layer_config={1: {"head_dim": 32}, 3: {"head_dim": 32}})
    assert greatest(mixed, "head_dim") == 32
    assert value(mixed, "head_dim") is None
    assert (
        sizes_by_config(mixed, 2).of_prompt == sizes_by_config(large, 2).of_prompt > sizes_by_config(small, 2).of_prompt
    )


def test_attention_whose_scores_are_all_in_memory_costs_by_the_square_of_the_length() -> None:
    """1,000 tokens of 32 heads in 16 bits: 64 MB a copy of the scores; fused attention makes none."""
    sizes = {"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}
    fused, eager = (MixtralConfig(**sizes, attn_implementation=name) for name in ("sdpa", "eager"))
    assert sizes_by_config(fused, 2).scores == 0
    assert 1000**2 * sizes_by_config(eager, 2).scores >= 3 * 64e6
    widths = {"qk_nope_head_dim": 128, "qk_rope_head_dim": 64}
    wider, equal = (
        SimpleNamespace(_attn_implementation="sdpa", **widths, v_head_dim=values, num_attention_heads=32)
        for values in (128, 192)
    )
    assert 1000**2 * sizes_by_config(wider, 2).scores >= 4.7 * 64e6
    assert sizes_by_config(equal, 2).scores == 0


def test_the_greatest_of_a_list_counts() -> None:
    config = text_config(Ernie4_5_VLMoeConfig(text_config={"moe_intermediate_size": [1536, 512]}))
    assert greatest(config, "moe_intermediate_size") == 1536


@pytest.mark.parametrize(
    "config",
    [
        SimpleNamespace(),
        SimpleNamespace(d_model=64, n_heads=4, n_layers=3),
        SimpleNamespace(hidden_size=None, num_attention_heads="many", head_dim=[], num_experts_per_tok=True),
        SimpleNamespace(hidden_size=64.0, num_attention_heads=[4, 8], num_hidden_layers=float("inf")),
        PreTrainedConfig(),
    ],
)
def test_code_that_names_its_sizes_otherwise_gets_a_budget(config: Any) -> None:
    assert sizes_by_config(text_config(config), 2).of_prompt > 0


def test_numbers_that_are_no_whole_numbers_are_left_out() -> None:
    assert greatest(SimpleNamespace(size=[2.5, 3.0, None, True, "9", {"vision": 7}]), "size") == 7
    assert greatest(SimpleNamespace(size=2.5, other=1), "size", "other") == 1
