"""Every image-text architecture with routed experts is recorded as it routes, or refused with a reason."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

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
    GENERATION,
    PICTURES,
    batches_of,
    check_against_routers,
    check_conservation,
    check_others,
    check_recorded,
    engine_of,
    followed_by,
    inputs_of,
    logits_of,
    prompts_of,
    record,
    text_of,
    token_of_each_part,
)
from .image_zoo_processors import processor_of
from .test_near_ties import BOUND, differences, first
from .zoo_checks import HALF_PRECISION
from .zoo_scores import least_gap, rankings_during

# What fails with pictures in a version of transformers, whatever is asked of it.
BROKEN = {"llama4": ("5.24.0", "image_outputs")}
HERE = [name for name in RECIPES if name in image_text_types()]
NAMES = [*(name for name in HERE if BROKEN.get(name, ("",))[0] != transformers.__version__), *COMPOSITES]

# Processors that tell no grid, or whose grid does not cover the picture: they pad, crop or tile, or tell the size of no
# token.
WITHOUT_GRID = {
    *("aria", "deepseek_ocr2", "gemma4", "glm5_next", "hy_v4_vl", "inkling_mm_model", "inkling2", "inkling2_loop"),
    *("kimi_k25", "step3p7", "unlimited_ocr", "internvl of qwen3_moe", "llava of olmoe"),
}
GRIDS = ["qwen3_vl_moe", "ernie4_5_vl_moe", "glm5_next"]
# A stand-in cuts in another order than the real one.
OTHER_GRIDS = [
    name
    for name in NAMES
    if name not in GRIDS and (is_torchvision_available() or not recipe_of(name).processor.needs_torchvision)
]


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


@pytest.mark.skipif(transformers.__version__ != "5.24.0", reason="the page is about that version")
def test_the_table_of_the_docs_says_what_each_needs_and_which_have_a_grid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architectures.md").read_text(encoding="utf-8")
    section = page.partition("## Models that read images")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    said = {name.strip(): (needs.strip(), grid.strip()) for names, needs, grid in rows[1:] for name in names.split(",")}
    assert set(said) == set(image_text_types())
    for name in NAMES:
        if name not in COMPOSITES:
            needs, grid = said[name]
            assert (grid == "yes") == (name not in WITHOUT_GRID), name
            of_pillow = not RECIPES[name].processor.needs_torchvision and name != "mistral_large4"
            assert needs == ("Pillow" if of_pillow else "torchvision"), name


@pytest.mark.parametrize("name", sorted(set(HERE) - set(NAMES)))
def test_one_that_is_broken_in_transformers_is_refused_by_name(name: str) -> None:
    version, fault = BROKEN[name]
    message = f"^{type(image_model(name)).__name__} of transformers {version} cannot read pictures as .*{fault}"
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
    check_others(model, processor, name, engine.layout, together[0])


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
def test_every_expert_recorded_made_the_logits(name: str) -> None:
    model, processor = image_model(name), image_processor(name)
    with engine_of(model, processor) as engine:
        (sequence,) = record(engine, prompts_of(name)[:1], together=False)
    check_recorded(model, processor, name, engine.layout, sequence)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_a_capture_verifies(name: str) -> None:
    with engine_of(image_model(name), image_processor(name)) as engine:
        found = engine.verify(batches_of(engine, prompts_of(name)), GENERATION)
    assert found["agreement"] == 1
    assert found["images"] == 2


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_in_float32_a_prompt_is_routed_as_alone_but_where_scores_nearly_tie(name: str) -> None:
    model, processor = image_model(name, torch.float32), image_processor(name)
    with engine_of(model, processor) as engine:
        alone = record(engine, prompts_of(name), together=False)
        together = record(engine, prompts_of(name), together=True)
    for place, (one, other) in enumerate(zip(alone, together, strict=True)):
        differing = differences(one, other)
        if not differing.any():
            np.testing.assert_array_equal(other.token_ids, one.token_ids)
            continue
        assert name != "ernie4_5_vl_moe", "its layers have two routers"
        prompt = inputs_of(model, processor, text_of(name, images=len(PICTURES[place])), PICTURES[place])
        whole = followed_by(prompt, one.token_ids[one.prompt_length :])
        rankings = rankings_during(model, partial(logits_of, model, whole))
        for token, layer in first(differing, looped=any(len(runs) > 1 for runs in rankings)):
            assert least_gap(rankings[layer], token) < BOUND
            print(f"near tie in {name}: token {token}, layer {layer}")


@pytest.mark.parametrize("name", [*GRIDS, *(pytest.param(name, marks=pytest.mark.nightly) for name in OTHER_GRIDS)])
def test_a_grid_says_which_part_of_a_picture_each_token_stands_for(name: str) -> None:
    """Where there is one: a processor that pads, crops or tiles has none."""
    model, processor = image_model(name), image_processor(name)
    with engine_of(model, processor) as engine:
        ((image,),) = [one.images for one in engine.prompt_inputs(prompts_of(name)[:1])]
    assert (image.rows is None) == (name in WITHOUT_GRID)
    if image.rows is not None and image.columns is not None:
        grid = image.rows, image.columns
        found = token_of_each_part(model, processor, name, grid)
        np.testing.assert_array_equal(found, np.arange(found.size).reshape(grid))


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
