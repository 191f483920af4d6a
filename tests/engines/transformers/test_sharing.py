"""Which prompts may share a batch follows from properties of a configuration, not from an architecture's name."""

from typing import Any

import numpy as np
import pytest
from transformers import CONFIG_MAPPING, MixtralConfig, PhimoeConfig, PreTrainedConfig

from moexray.engines.transformers.architectures import ALONE as LISTED_ALONE
from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.sharing import ALONE, sharing_of
from moexray.errors import CaptureError
from moexray.prompts import Prompt

RECORDED = [architecture.model_type for architecture in moe_architectures() if architecture.tap != "refused"]
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 2, "long_factor": [2.0] * 2}


def groups(config: Any, lengths: list[int], new_tokens: int) -> list[int]:
    return sharing_of(config).groups(np.array(lengths), new_tokens).tolist()


def longrope(boundary: int) -> PreTrainedConfig:
    """Return a configuration of an architecture that does not usually have such positions."""
    rope = {**LONGROPE, "original_max_position_embeddings": boundary}
    return MixtralConfig(
        hidden_size=16, num_attention_heads=4, head_dim=4, max_position_embeddings=128, rope_parameters=rope
    )


def test_most_models_let_all_prompts_share() -> None:
    assert groups(MixtralConfig(), [1, 5000, 20], 300) == [0, 0, 0]
    assert sharing_of(MixtralConfig()).reason == ""


def test_an_architecture_is_listed_as_running_alone_if_and_only_if_its_configuration_says_so() -> None:
    alone = {name for name in RECORDED if sharing_of(CONFIG_MAPPING[name]()).alone}
    assert alone == set(LISTED_ALONE)
    limited = {name for name in RECORDED if sharing_of(CONFIG_MAPPING[name]()).reason}
    assert limited - alone == {"llama4", "unlimited_ocr"}  # longrope and sparse blocks are settings of checkpoints


def test_longrope_separates_prompts_at_its_boundary_whatever_the_architecture() -> None:
    assert groups(longrope(32), [33, 32, 1, 100], 1) == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("length", "new_tokens", "most"), [(32, 1, None), (32, 2, 1), (23, 10, None), (24, 10, 9), (33, 9, None)]
)
def test_a_prompt_that_passes_the_boundary_as_it_is_continued_is_named(length: int, new_tokens: int, most: int) -> None:
    """The last token that is generated passes no router, so it may lie beyond."""
    prompts = [Prompt("a", "c", "short"), Prompt("b", "c", "passes")]
    lengths = np.array([2, length])
    if most is None:
        sharing_of(longrope(32)).check_turns(prompts, lengths, new_tokens)
        return
    said = rf"prompt 'passes' has {length} tokens: with {new_tokens} generated ones it passes 32,.* to {most},"
    with pytest.raises(CaptureError, match=said):
        sharing_of(longrope(32)).check_turns(prompts, lengths, new_tokens)
    sharing_of(longrope(32)).check_turns(prompts, lengths, most)


def test_boundaries_of_several_kinds_of_layers_all_count() -> None:
    config = MixtralConfig(hidden_size=16, num_attention_heads=4, head_dim=4, max_position_embeddings=128)
    config.rope_parameters = {
        "full_attention": {**LONGROPE, "original_max_position_embeddings": 64},
        "sliding_attention": {**LONGROPE, "original_max_position_embeddings": 32},
    }
    assert groups(config, [10, 40, 70], 1) == [0, 1, 2]


def test_the_boundary_is_found_in_the_form_that_checkpoints_publish() -> None:
    """Phi-3.5-MoE names its kind of positions `type`, under `rope_scaling`."""
    factors = {"short_factor": [1.0] * 64, "long_factor": [2.0] * 64}
    scales = {"short_mscale": 1.25, "long_mscale": 1.25}
    rope = {"type": "longrope", **factors, **scales, "original_max_position_embeddings": 4096}
    config = PhimoeConfig(rope_scaling=rope, max_position_embeddings=131072)
    assert groups(config, [4097, 4096], 1) == [1, 0]


def test_a_kind_of_layer_that_is_not_tested_runs_alone_whatever_the_architecture() -> None:
    config = MixtralConfig(num_hidden_layers=2)
    config.layer_types = ["full_attention", "brand_new_attention"]
    assert groups(config, [3, 4], 1) == [ALONE, ALONE]
    assert "'brand_new_attention'" in sharing_of(config).reason


def test_attention_that_scales_by_slot_lets_prompts_share_before_it_scales() -> None:
    config = CONFIG_MAPPING["llama4"](text_config={"floor_scale": 16})
    assert groups(config, [10, 9, 16, 6], 6) == [0, 0, ALONE, 0]  # 10 and 5 more of those written: slots up to 15
    assert groups(config, [10, 9, 16, 6], 7) == [ALONE, 0, ALONE, 0]
    off = CONFIG_MAPPING["llama4"](text_config={"floor_scale": 16, "attn_temperature_tuning": False})
    assert groups(off, [10, 9, 16, 6], 7) == [0] * 4


def test_attention_that_scales_beyond_a_number_of_slots_lets_prompts_share_up_to_it() -> None:
    """Inkling scales by 1 + a log(slots / floor), which is 1 up to the floor; it is no default, and released so."""
    config = CONFIG_MAPPING["inkling_mm_model"](text_config={"log_scaling_n_floor": 16})
    assert groups(config, [10, 11, 17, 12], 6) == [0, 0, ALONE, ALONE]  # 11 and 5 more of those written: 16 slots
    assert "scales by length" in sharing_of(config).reason
    assert groups(CONFIG_MAPPING["inkling_mm_model"](), [10, 200000], 6) == [0, 0]


def test_sparse_blocks_let_prompts_share_within_the_first_block() -> None:
    kinds = ["full_attention", "minimax_m3_sparse"] * 2
    config = CONFIG_MAPPING["minimax_m3_vl"](
        text_config={"layer_types": kinds, "num_hidden_layers": 4, "index_block_size": 8}
    )
    assert groups(config, [8, 9, 1], 1) == [0, ALONE, 0]


def test_a_cache_that_drops_tokens_lets_prompts_share_before_it_does() -> None:
    config = CONFIG_MAPPING["unlimited_ocr"]()
    window = config.get_text_config().sliding_window
    assert groups(config, [5, 3000], window + 1) == [0, 0]
    assert groups(config, [5, 3000], window + 2) == [ALONE, ALONE]
