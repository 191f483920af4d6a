"""Every image-text architecture with routed experts is recorded as it routes, or refused with a reason."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import transformers
from transformers.utils import is_torchvision_available

from moexray.engines.transformers.architectures import REFUSED
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.errors import ModelError

from .image_zoo import COMPOSITES, RECIPES, image_model, image_processor, image_text_types, picture, recipe_of
from .image_zoo_checks import (
    check_against_routers,
    check_causes,
    check_conservation,
    engine_of,
    inputs_of,
    prompts_of,
    record,
    text_of,
)
from .image_zoo_processors import processor_of
from .zoo_checks import HALF_PRECISION

# What fails with pictures in a version of transformers, whatever is asked of it.
BROKEN = {"llama4": ("5.24.0", "image_outputs")}
HERE = [name for name in RECIPES if name in image_text_types()]
NAMES = [*(name for name in HERE if BROKEN.get(name, ("",))[0] != transformers.__version__), *COMPOSITES]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_architecture_that_sees_images_and_has_experts_is_recorded_or_refused() -> None:
    assert [name for name in image_text_types() if name not in RECIPES and name not in REFUSED] == []
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", sorted(set(HERE) - set(NAMES)))
def test_one_that_is_broken_in_transformers_is_refused_by_name(name: str) -> None:
    version, fault = BROKEN[name]
    message = f"^{type(image_model(name)).__name__} of transformers {version} cannot read pictures: .*{fault}"
    with pytest.raises(ModelError, match=message):
        engine_of(image_model(name), image_processor(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_images_and_text_in_one_batch_are_routed_as_plain_transformers_routes_them_alone(name: str) -> None:
    model, processor = image_model(name), image_processor(name)
    with engine_of(model, processor) as engine:
        together = record(engine, prompts_of(name), together=True)
    check_against_routers(model, processor, name, engine.layout, together)
    check_conservation(engine.layout, together)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_alone_is_recorded_as_beside_others(name: str) -> None:
    model, processor = image_model(name), image_processor(name)
    with engine_of(model, processor) as engine:
        alone = record(engine, prompts_of(name), together=False)
        together = record(engine, prompts_of(name), together=True)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(other.token_ids, one.token_ids)
        np.testing.assert_array_equal(other.segments, one.segments)
        np.testing.assert_array_equal(other.experts, one.experts)
        assert one.gate_weights is not None
        assert other.gate_weights is not None
        np.testing.assert_allclose(other.gate_weights, one.gate_weights, **HALF_PRECISION)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_of_text_is_recorded_as_without_images(name: str) -> None:
    model, processor = image_model(name), image_processor(name)
    prompt = prompts_of(name)[1:2]
    with engine_of(model, processor) as engine:
        (one,) = record(engine, prompt, together=True)
    with TransformersEngine(LoadedModel("tiny", model, processor.tokenizer)) as engine:
        (other,) = record(engine, prompt, together=True)
    np.testing.assert_array_equal(other.token_ids, one.token_ids)
    np.testing.assert_array_equal(other.experts, one.experts)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_the_experts_recorded_and_no_others_made_the_logits(name: str) -> None:
    model, processor = image_model(name), image_processor(name)
    with engine_of(model, processor) as engine:
        (sequence,) = record(engine, prompts_of(name)[:1], together=False)
    check_causes(model, processor, name, engine.layout, sequence)


@pytest.mark.skipif(not is_torchvision_available(), reason="the real image processors need torchvision")
@pytest.mark.parametrize("name", [name for name in HERE if RECIPES[name].processor.needs_torchvision])
def test_a_stand_in_gives_what_the_real_image_processor_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = image_model(name)
    real = inputs_of(model, processor_of(recipe_of(name).processor), text_of(name), [picture()])
    monkeypatch.setattr("tests.engines.transformers.image_zoo_processors.is_torchvision_available", lambda: False)
    stand_in = inputs_of(model, processor_of(recipe_of(name).processor), text_of(name), [picture()])
    assert set(stand_in) == set(real)
    for key, value in real.items():
        if isinstance(value, torch.Tensor):
            assert (value.dtype, value.ndim) == (stand_in[key].dtype, stand_in[key].ndim), key
            if value.is_floating_point():
                assert value.shape[1:] == stand_in[key].shape[1:], key
        else:
            assert stand_in[key] == value, key
