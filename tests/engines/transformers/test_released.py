"""With the values of released models, shrunk in width and depth alone, architectures are recorded as they route."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING

from moexray.engines.transformers.configuration import text_config
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel

from .released import BITES, released, released_config
from .test_zoo import RECORDED
from .zoo import model_of
from .zoo_checks import (
    check_against_one_pass,
    check_against_routers,
    check_conservation,
    letters,
    record,
    record_long,
)

# Those that are used most, of each way of choosing and of attending one; the others run every night.
USED = ("deepseek_v3", "glm4_moe", "gpt_oss", "mixtral", "olmoe", "phimoe", "qwen3_moe")
# Of these no configuration of a released model was found in public repositories: they run with their class's defaults.
NOT_FOUND = {
    *("aria", "axk1", "axk2", "bailing_hybrid", "beam", "deepseek_ocr2", "dots3_note", "ernie4_5_vl_moe", "flex_olmo"),
    *("flint", "glm5_next", "granitemoe_swa", "granitemoeshared", "hy_v4", "hy_v4_vl", "inkling2", "inkling2_loop"),
    *("kolibri1", "lara_mini", "minimax", "mistral_large4", "muse_spark", "qwen4_exp", "unlimited_ocr"),
}
# What a class keeps under another name, or turns into a list of layers; and what is cut, or shifted.
_ELSEWHERE = {
    *("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "original_max_position_embeddings"),
    *("compress_ratios", "num_hash_layers", "dense_mlp_idx", "first_k_dense_replace", "moe_layer_freq"),
    *("full_attention_interval", "sparse_attention_config", "attn_config", "ffn_config", "eos_token_id"),
    *BITES,
}
# Names that transformers 5 gives to kinds of layers.
_RENAMED = {"mamba": "linear_attention", "attention": "full_attention"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_architecture_has_a_released_model_or_is_known_to_have_none() -> None:
    """Those that the installed transformers knows; an older one lacks a few."""
    assert (set(released()) | NOT_FOUND) & set(CONFIG_MAPPING) == set(RECORDED)
    assert not set(released()) & NOT_FOUND
    assert all(facts.model.count("/") == 1 and len(facts.read_in) > 20 for facts in released().values())
    assert all(4 <= facts.depth <= facts.layers for facts in released().values())


@pytest.mark.parametrize("model_type", sorted(released()))
def test_what_was_released_is_what_the_model_is_built_with(model_type: str) -> None:
    text = text_config(released_config(model_type))
    for name, value in released()[model_type].values.items():
        if name not in _ELSEWHERE:
            found = getattr(text, name)
            assert found == value or found == [_RENAMED.get(one, one) for one in value], name
    for name, most in BITES.items():
        found = getattr(text, name, None)
        assert not isinstance(found, int) or found <= most + 1, f"{name} does not matter for prompts this short"


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_type",
    [name if name in USED else pytest.param(name, marks=pytest.mark.nightly) for name in sorted(released())],
)
def test_released_models_are_recorded_as_they_route_and_as_alone(model_type: str) -> None:
    model = model_of(released_config(model_type))
    layout, alone = record(model, 1)
    check_against_routers(model, layout, alone)
    check_conservation(layout, alone)
    _, together = record(model, 3)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(other.token_ids, one.token_ids)
        np.testing.assert_array_equal(other.experts, one.experts)
    top_k = TransformersEngine(LoadedModel("tiny", model, letters())).layout.top_k
    for sequence in record_long(model):
        check_against_one_pass(model, sequence, top_k)
