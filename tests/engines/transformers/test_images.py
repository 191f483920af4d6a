"""Prompts with images are routed in a batch as alone, and what cannot be run so is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moexray.engines.rules import FixedK
from moexray.engines.transformers import hearing
from moexray.engines.transformers.decoding import Stretch, stretches
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.image_inputs import ImagePrompts
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.prompt_inputs import PromptInputs, parts_of
from moexray.errors import CaptureError, ModelError, PromptsError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.prompts.images import image_in_file
from moexray.recorded_images import RecordedImage
from moexray.recording.checking import check_sequence
from moexray.recording.counting import count_selections
from moexray.routing import RoutedSequence
from moexray.segments import PLAIN, WITH_IMAGES
from tests.tiny_models import routed

from .image_zoo import COMPOSITES, RECIPES, image_model, image_processor, recipe_of
from .pictured import image, mixed_prompts, reader
from .zoo import VOCABULARY

# Offsets of positions by image, windows around tokens, images as tiles, and pixels padded to the largest of a prompt.
KINDS = ("qwen3_vl_moe", "gemma4", "internvl of qwen3_moe", "mistral3 of mixtral")
NAME = KINDS[0]
PLACE = recipe_of(NAME).processor.text
# Letters that end a text: some of every seven.
ENDS = tuple(range(0, VOCABULARY, 7))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    with reader(NAME) as found:
        yield found


def assert_equal(one: RoutedSequence, other: RoutedSequence) -> None:
    np.testing.assert_array_equal(other.token_ids, one.token_ids)
    np.testing.assert_array_equal(other.segments, one.segments)
    np.testing.assert_array_equal(other.experts, one.experts)
    assert (other.output, other.images) == (one.output, one.images)


@pytest.mark.parametrize("name", KINDS)
def test_prompts_of_a_batch_are_routed_as_alone_whatever_images_it_holds(name: str) -> None:
    prompts, generation = [*mixed_prompts(name)[:2], mixed_prompts(name)[3]], Generation(5)
    with reader(name) as engine:
        for prompt, found in zip(prompts, routed(engine, prompts, generation), strict=True):
            assert_equal(routed(engine, [prompt], generation)[0], found)


def test_texts_end_at_different_steps_while_images_are_in_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The positions after an image are kept for those prompts that go on."""
    kept: list[tuple[int, bool]] = []  # sequences of each stretch, and whether the positions of one are behind

    def noted(model: Any, *args: Any, **options: Any) -> Iterator[Stretch]:
        for stretch in stretches(model, *args, **options):
            kept.append((len(stretch.rows), bool((model.model.rope_deltas < 0).any())))
            yield stretch

    monkeypatch.setattr(hearing, "stretches", noted)
    prompts = [one for seed in (0, 10) for one in mixed_prompts(NAME, seed=seed)]
    prompts = [replace(prompt, id=str(place)) for place, prompt in enumerate(prompts)]
    generation = Generation(14, temperature=1.0)
    with reader(NAME, ends=ENDS) as engine:
        alone = [routed(engine, [prompt], generation)[0] for prompt in prompts]
        kept.clear()
        together = routed(engine, prompts, generation)
        assert len(kept) > 2, "the texts end together, so that nothing is shown"
        assert kept[1][1], "no prompt with an image went on"
        for one, other in zip(alone, together, strict=True):
            assert_equal(one, other)


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted({*RECIPES, *COMPOSITES} - {"llama4"}))  # whose code fails with images
def test_texts_end_at_different_steps_in_batches_with_images_of_any_architecture(name: str) -> None:
    prompts = [
        replace(prompt, id=f"{prompt.id} {seed}") for seed in (0, 10) for prompt in mixed_prompts(name, seed=seed)
    ]
    generation = Generation(12, temperature=1.0)
    with reader(name, ends=ENDS) as engine:
        groups = engine.groups(engine.lengths(prompts, generation), generation)
        if engine.batching == "alone" or (groups != 0).any():  # each of its texts ends by itself
            return
        alone = [routed(engine, [prompt], generation)[0] for prompt in prompts]
        assert len({len(one.token_ids) - one.prompt_length for one in alone}) > 2
        for one, other in zip(alone, routed(engine, prompts, generation), strict=True):
            assert_equal(one, other)


def test_the_kinds_of_tokens_sum_to_the_whole(engine: TransformersEngine) -> None:
    """Of 4 × 6, 4 × 4 and 6 × 4 patches, four make a token."""
    prompts = mixed_prompts(NAME)
    for prompt, found in zip(prompts, routed(engine, prompts, Generation(3)), strict=True):
        tokens = {"one": 6, "two": 4 + 6}.get(prompt.id, 0)
        assert np.bincount(found.segments, minlength=3)[1:].tolist() == [tokens, 2]
        check_sequence(found, engine.layout, prompt=prompt.id, prompt_tokens=found.prompt_length)
        by_kind = count_selections(found, engine.layout).sum(axis=2)
        np.testing.assert_array_equal(by_kind, np.outer(np.bincount(found.segments, minlength=3), engine.layout.top_k))
    assert engine.layout.segments == WITH_IMAGES


def test_a_prompt_of_text_is_recorded_as_by_an_engine_without_images(engine: TransformersEngine) -> None:
    text = [prompt for prompt in mixed_prompts(NAME) if not prompt.images]
    with reader(NAME, images=False) as plain:
        assert plain.layout.segments == PLAIN
        assert "images" not in plain.capabilities
        assert plain.tokenize(text) == engine.tokenize(text)
        for one, other in zip(routed(plain, text, Generation(4)), routed(engine, text, Generation(4)), strict=True):
            np.testing.assert_array_equal(other.experts, one.experts)
            assert other.segment_names == WITH_IMAGES


def test_what_is_recorded_of_an_image_is_its_size_and_the_grid_of_its_tokens(engine: TransformersEngine) -> None:
    prompt = mixed_prompts(NAME)[2]
    first, second = prompt.images
    assert routed(engine, [prompt], Generation(0))[0].images == (
        RecordedImage("image 1", first.sha256, 64, 64, tokens=4, rows=2, columns=2),
        RecordedImage("image 2", second.sha256, 64, 96, tokens=6, rows=3, columns=2),
    )


def test_another_image_changes_the_routing_of_text_after_it(engine: TransformersEngine) -> None:
    one, other = (routed(engine, [mixed_prompts(NAME, seed=seed)[0]], Generation(0))[0] for seed in (0, 5))
    np.testing.assert_array_equal(one.token_ids, other.token_ids)
    np.testing.assert_array_equal(one.experts[:2], other.experts[:2])
    assert (one.experts[-2:] != other.experts[-2:]).any() or (one.experts[2:-2] != other.experts[2:-2]).any()


def test_an_output_that_is_given_is_recorded_as_it_was_written(engine: TransformersEngine) -> None:
    prompts = mixed_prompts(NAME)
    written = routed(engine, prompts, Generation(5), want={"weights"})
    given = [
        replace(prompt, output=(*one.token_ids[one.prompt_length :].tolist(), 0))
        for prompt, one in zip(prompts, written, strict=True)
    ]
    lengths = engine.lengths(given, Generation())
    assert engine.given_lengths(given, lengths).tolist() == [4] * len(prompts)
    for one, other in zip(written, routed(engine, given, Generation(), want={"weights"}), strict=True):
        np.testing.assert_array_equal(other.experts, one.experts)
        np.testing.assert_array_equal(other.segments, one.segments)


@pytest.mark.parametrize("name", [NAME, "mistral3 of mixtral"])
def test_losses_of_a_batch_are_those_of_each_alone_whatever_the_shapes_of_its_images(name: str) -> None:
    """Pixels of the second model are padded to the largest image of a prompt, so its prompts run one after another."""
    prompts = mixed_prompts(name)
    with reader(name) as engine:
        assert (len(parts_of(engine.prompt_inputs(prompts))) > 1) == (name != NAME)
        together = dict(engine.loss(prompts))
        for place, prompt in enumerate(prompts):
            ((_, alone),) = engine.loss([prompt])
            np.testing.assert_allclose(together[place].losses, alone.losses, rtol=1e-4, atol=1e-5)
            is_image = alone.segments == 1
            assert np.isnan(alone.losses[is_image]).all()
            assert np.isfinite(alone.losses[1:][~is_image[1:]]).all()


def test_an_image_is_turned_into_pixels_once_however_many_rules_are_scored(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    of = ImagePrompts.of

    def counted(images: ImagePrompts, prompt: Prompt) -> PromptInputs:
        made.append(prompt.id)
        return of(images, prompt)

    monkeypatch.setattr(ImagePrompts, "of", counted)
    prompts = mixed_prompts(NAME)
    list(engine.divergences(prompts, [FixedK(1), FixedK(2)]))
    assert made == [prompt.id for prompt in prompts if prompt.images]


def test_a_recording_with_images_passes_the_causal_check(engine: TransformersEngine) -> None:
    found = engine.verify([mixed_prompts(NAME)[:3]], Generation(4))
    assert (found["images"], found["agreement"]) == (2, 1.0)


def test_a_wrong_recording_of_image_tokens_is_caught() -> None:
    class Shifted(TransformersEngine):
        def run(self, *args: Any, **options: Any) -> Iterator[tuple[int, RoutedSequence]]:
            for place, one in super().run(*args, **options):
                is_image = (one.segments == 1)[:, None, None]
                yield place, replace(one, experts=np.where(is_image, (one.experts + 1) % 8, one.experts))

    processor = image_processor(NAME)
    loaded = LoadedModel(NAME, image_model(NAME), processor.tokenizer, processor=processor)
    with Shifted(loaded, images=True) as engine, pytest.raises(ModelError, match="recorded selections only"):
        engine.verify([mixed_prompts(NAME)[:3]], Generation(4))


def refused(engine: TransformersEngine, prompt: Prompt, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        engine.lengths([prompt], Generation(2))


def test_text_is_no_part_of_an_image_where_the_router_goes_by_markers() -> None:
    """ERNIE's router sends the markers around an image to the experts for images."""
    name = "ernie4_5_vl_moe"
    place = recipe_of(name).processor.text
    with reader(name) as engine:
        for text in (f"a<image_start>b{place}", f"a{place}<image_end>b", f"<image_end>{place}"):
            refused(engine, Prompt(text, "c", "p", images=(image(0),)), "which marks an image, where none is: take it")
        two = Prompt(f"a{place}{place}b", "c", "p", images=(image(0), image(1)))
        assert np.bincount(engine.prompt_inputs([two])[0].segments).tolist() == [2, 2 * (6 + 2)]


def test_a_text_with_markers_of_images_runs_alone_where_the_model_fails_with_it_in_a_batch() -> None:
    """Qwen3-Omni looks for images in all rows of a batch that has any."""
    name = "qwen3_omni_moe_thinker"
    with reader(name) as engine:
        prompts = [mixed_prompts(name)[0], Prompt("a<audio_start>b", "c", "text")]
        for one, alone in zip(routed(engine, prompts, Generation(2)), prompts, strict=True):
            assert_equal(one, routed(engine, [alone], Generation(2))[0])


def test_a_picture_that_the_models_code_cannot_take_is_refused_by_the_prompts_name() -> None:
    """The positions of this one are beyond the tiny model's table: an IndexError of torch."""
    name = "gemma4"
    place = recipe_of(name).processor.text
    with reader(name) as engine:
        wide = Prompt(f"a{place}", "c", "wide", images=(image(0, (1000, 4)),))
        with pytest.raises(ModelError, match="the images of prompt 'wide' cannot be run with this model: IndexError"):
            routed(engine, [mixed_prompts(name)[0], wide], Generation(2))


def test_each_image_needs_a_place_in_the_text(engine: TransformersEngine) -> None:
    two = (image(0), image(1))
    refused(engine, Prompt("ab", "c", "p", images=two[:1]), r"prompt 'p' has 1 image, but its text holds .* 0 times")
    refused(engine, Prompt(f"a{PLACE}", "c", "p", images=two), "prompt 'p' has 2 images, but its text holds .* 1 times")
    refused(engine, Prompt(f"a{PLACE}b", "c", "p"), "prompt 'p' holds .*, which stands for an image, without one")


def test_an_output_must_not_hold_the_place_of_an_image(engine: TransformersEngine) -> None:
    (placeholder,) = engine.placeholders
    prompt = replace(mixed_prompts(NAME)[0], output=(1, placeholder, 2))
    with pytest.raises(CaptureError, match="stands for an image, without one"):
        engine.given_lengths([prompt], engine.lengths([prompt], Generation()))


def test_image_tokens_count_in_the_models_context(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of 128 × 128 pixels takes 16 tokens, and two markers."""
    monkeypatch.setattr(engine.model.config.text_config, "max_position_embeddings", 37)
    images = tuple(image(seed, (128, 128)) for seed in range(2))
    assert engine.lengths([Prompt(PLACE * 2, "c", "p", images=images)], Generation(1)).tolist() == [36]
    refused(
        engine,
        Prompt(PLACE * 2, "c", "p", images=images),
        r"prompt 'p' has 36 tokens.* exceeds the model's context of 37",
    )


def test_images_need_an_engine_that_was_opened_for_them() -> None:
    with reader(NAME, images=False) as engine:
        refused(engine, mixed_prompts(NAME)[0], "images=True")


def test_recorded_image_tokens_are_not_routed_again_without_their_image(engine: TransformersEngine) -> None:
    ids = routed(engine, mixed_prompts(NAME)[:1], Generation(0))[0].token_ids
    with reader(NAME, images=False) as plain:
        for one in (engine, plain):
            with pytest.raises(CaptureError, match="which stands for an image: without the image"):
                one.route(ids, name="p")


def test_an_image_that_changed_since_it_was_read_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(image(0).data or b"")
    prompt = Prompt(f"a{PLACE}", "c", "p", images=(image_in_file(file),))
    assert engine.lengths([prompt], Generation(2)).tolist() == [1 + 8]
    file.write_bytes(image(1).data or b"")
    with pytest.raises(PromptsError, match="has changed since it was read"):
        routed(engine, [prompt], Generation(2))


def test_pixels_that_are_no_numbers_are_refused(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._images._processor.image_processor, "image_std", [0.0] * 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        refused(engine, mixed_prompts(NAME)[0], "the images of prompt 'one' cannot be run .* no numbers")
