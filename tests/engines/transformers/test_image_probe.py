"""Whether a model sees pictures is tried, and one that fails, or does not look, is refused in one sentence."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from moexray.engines.transformers.image_probe import check_images
from moexray.engines.transformers.taps import find_taps
from moexray.errors import ModelError
from moexray.prompts.images import PromptImage, opened

from .image_zoo import image_config, image_model, image_processor
from .image_zoo_checks import inputs_of, text_of
from .zoo import model_of


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def probe(name: str, model: Any) -> None:
    processor = image_processor(name)

    def inputs(picture: PromptImage) -> dict[str, Any]:
        return inputs_of(model, processor, text_of(name), [opened(picture)])

    check_images(model, find_taps(model, images=True), inputs)


@pytest.mark.parametrize("name", ["qwen3_vl_moe", "ernie4_5_vl_moe"])
def test_a_model_that_sees_pictures_passes(name: str) -> None:
    probe(name, image_model(name))


@pytest.mark.skipif(transformers.__version__ != "5.24.0", reason="Llama 4 sees pictures in other versions")
def test_a_model_whose_code_fails_with_pictures_is_refused_with_the_version_and_the_fault() -> None:
    message = (
        f"^Llama4ForConditionalGeneration of transformers {transformers.__version__} cannot read pictures as its "
        "processor makes them: its own code fails with AttributeError: .*image_outputs.*; its texts can be recorded "
        "without pictures$"
    )
    with pytest.raises(ModelError, match=message):
        probe("llama4", image_model("llama4"))


@pytest.mark.parametrize("name", ["qwen3_5_moe", "qwen4_exp"])
def test_a_model_of_text_that_takes_pixels_and_ignores_them_is_refused(name: str) -> None:
    """These types name a model of text first, whose forward takes any keyword."""
    message = "gives the same logits whatever a picture shows: it does not read pictures"
    with pytest.raises(ModelError, match=message):
        probe(name, model_of(image_config(name)))


def test_an_architecture_whose_experts_see_part_of_the_tokens_is_refused() -> None:
    """The tap for text alone hears no token of an image."""
    name = "ernie4_5_vl_moe"
    model, processor = image_model(name), image_processor(name)
    with pytest.raises(ModelError, match=r"13 tokens of a prompt with a picture passed .* as \[5\] rows"):
        check_images(
            model,
            find_taps(model),
            lambda picture: inputs_of(model, processor, text_of(name), [opened(picture)]),
        )


@pytest.mark.parametrize("fault", [lambda: torch.zeros(2) @ torch.zeros(3), lambda: torch.zeros(1)[1], lambda: int("")])
def test_any_fault_of_a_models_code_is_one_sentence(fault: Callable[[], Any]) -> None:
    name = "qwen3_vl_moe"
    model = image_model(name)
    handle = model.register_forward_pre_hook(lambda *_: fault())
    with pytest.raises(ModelError, match="its own code fails with") as refused:
        probe(name, model)
    assert "\n" not in str(refused.value)
    handle.remove()


def test_lack_of_memory_is_no_fault_of_a_model() -> None:
    name = "qwen3_vl_moe"
    model = image_model(name)

    def full(_module: nn.Module, _args: object) -> None:
        raise torch.OutOfMemoryError

    model.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        probe(name, model)
