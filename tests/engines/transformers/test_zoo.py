"""Every MoE architecture of the installed transformers is recorded as it routes, or refused with a reason."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING

from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.configuration import greatest, layer_kinds, text_config
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.profile import profile_of_config
from moexray.engines.transformers.taps import check_type
from moexray.errors import ModelError
from moexray.routing import RouterLayout

from .zoo import folders, model_types, released_choice, tiny_config, tiny_model
from .zoo_checks import (
    HALF_PRECISION,
    check_against_one_pass,
    check_against_routers,
    check_causes,
    check_conservation,
    letters,
    record,
    record_long,
)

LISTED = {architecture.model_type: architecture for architecture in moe_architectures()}
RECORDED = sorted(name for name, architecture in LISTED.items() if architecture.tap != "refused")
REFUSED = sorted(set(LISTED) - set(RECORDED))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_folder_with_experts_is_listed() -> None:
    assert [folder for folder in folders() if not set(model_types(folder)) & set(LISTED)] == []


def test_more_than_sixty_are_recorded() -> None:
    assert len(RECORDED) > 60
    assert len(REFUSED) < 10


@pytest.mark.parametrize("model_type", REFUSED)
def test_one_that_is_refused_says_why(model_type: str) -> None:
    reason = LISTED[model_type].reason
    assert len(reason.split()) > 5
    with pytest.raises(ModelError, match=f"^{model_type} models cannot be recorded: {reason}$"):
        check_type(model_type)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", RECORDED)
def test_what_is_recorded_is_what_the_router_chose_and_what_made_the_logits(model_type: str) -> None:
    model = tiny_model(model_type)
    layout, alone = record(model, 1)
    profile = profile_of_config(model.config, model_type)
    assert RouterLayout(profile.layers, profile.experts, profile.top_k, passes=layout.passes) == layout
    assert profile.tap == LISTED[model_type].tap
    check_against_routers(model, layout, alone)
    check_conservation(layout, alone)
    assert check_causes(model, layout, alone[1]) > 0
    layout_in_batch, together = record(model, 3)
    assert layout_in_batch == layout
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(other.token_ids, one.token_ids)
        np.testing.assert_array_equal(other.experts, one.experts)
        np.testing.assert_allclose(other.gate_weights, one.gate_weights, **HALF_PRECISION)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", RECORDED)
def test_long_uneven_prompts_with_many_new_tokens_are_routed_as_alone(model_type: str) -> None:
    model = tiny_model(model_type)
    top_k = TransformersEngine(LoadedModel("tiny", model, letters())).layout.top_k
    for sequence in record_long(model):
        check_against_one_pass(model, sequence, top_k)


@pytest.mark.parametrize("model_type", RECORDED)
def test_every_kind_of_layer_that_an_architecture_has_by_default_is_built(model_type: str) -> None:
    default, tiny = text_config(CONFIG_MAPPING[model_type]()), text_config(tiny_config(model_type))
    assert layer_kinds(tiny) >= layer_kinds(default)
    for name in ("sliding_window", "sliding_window_size", "attention_chunk_size", "index_topk", "index_block_size"):
        if greatest(default, name):
            assert greatest(tiny, name) <= 8, f"{name} does not matter for prompts this short"


@pytest.mark.nightly
@pytest.mark.parametrize("model_type", RECORDED)
def test_routers_that_choose_as_released_models_do_are_recorded(model_type: str) -> None:
    """An architecture's default configuration is that of a released model: its k, groups, scales and shapes."""
    model = tiny_model(model_type, **released_choice(model_type))
    layout, alone = record(model, 1)
    check_against_routers(model, layout, alone)
    check_conservation(layout, alone)
    _, together = record(model, 3)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(other.experts, one.experts)
