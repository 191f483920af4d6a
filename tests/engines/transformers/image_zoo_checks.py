"""Checks that a recording of prompts with images is true, which share no code with the taps or the engine's inputs.

The oracle is plain transformers: the processor's own inputs of one prompt, one pass without a cache, and what the
routers of `zoo_checks` return in it.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.taps import decoder_of
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.prompts.images import image_in_bytes
from moexray.recording.checking import check_sequence
from moexray.routing import RoutedSequence, RouterLayout

from ...tiny_models import routed
from .image_zoo import picture, recipe_of
from .zoo_checks import HALF_PRECISION, by_expert, routers_during

GENERATION = Generation(3, stop_at_eos=False)
# The pictures of each prompt: one, none, and two of other sizes.
PICTURES: tuple[tuple[Image.Image, ...], ...] = (
    (picture(1),),
    (),
    (picture(2, width=64), picture(3, width=112)),
)
# Processors that name the tokens of an image by the kind that the router is told, and by what the model is told.
_KINDS = ("moe_mm_token_type_ids", "mm_token_type_ids")


def text_of(name: str, *, images: int = 1) -> str:
    """Return a prompt of letters with some images, as the processor of an architecture wants it."""
    placeholder = recipe_of(name).processor.text
    return "zXy" if not images else "aQ" + "wE".join([placeholder] * images) + "rtY"


def prompts_of(name: str) -> list[Prompt]:
    """Return a prompt for each of `PICTURES`."""
    return [
        Prompt(
            text_of(name, images=len(pictures)),
            category="c",
            id=f"p{place}",
            images=tuple(image_in_bytes(_png(one), name=f"image {number}") for number, one in enumerate(pictures)),
        )
        for place, pictures in enumerate(PICTURES)
    ]


def _png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


def engine_of(model: PreTrainedModel, processor: ProcessorMixin) -> TransformersEngine:
    """Return the engine of a model with its processor."""
    loaded = LoadedModel("tiny", model, processor.tokenizer, processor=processor)
    return TransformersEngine(loaded, images=True)


def batches_of(engine: TransformersEngine, prompts: Sequence[Prompt], *, together: bool = True) -> list[list[Prompt]]:
    """Return all prompts as one batch, or, where they may not share one or are not to, each by itself."""
    groups = engine.groups(engine.lengths(prompts, GENERATION), GENERATION)
    alone = not together or len(set(groups.tolist())) > 1 or groups[0] < 0
    return [[prompt] for prompt in prompts] if alone else [list(prompts)]


def record(engine: TransformersEngine, prompts: Sequence[Prompt], *, together: bool) -> list[RoutedSequence]:
    """Run prompts, each alone, or as many together as may share a batch."""
    batches = batches_of(engine, prompts, together=together)
    return [one for batch in batches for one in routed(engine, batch, GENERATION, want={"weights"})]


def inputs_of(
    model: PreTrainedModel, processor: ProcessorMixin, text: str, pictures: Sequence[Image.Image]
) -> dict[str, Any]:
    """Return the model's inputs for one prompt, as its processor makes them, with pixels in the model's format."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of numpy, in ERNIE's processor
        found = processor(text=[text], images=list(pictures) or None, return_tensors="pt")
    return {
        name: value.to(model.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in found.items()
    }


def followed_by(inputs: Mapping[str, Any], token_ids: NDArray[np.integer]) -> dict[str, Any]:
    """Return inputs with generated tokens after the prompt, which are text."""
    more = torch.from_numpy(token_ids.astype(np.int64))[None]
    result = dict(inputs)
    result["input_ids"] = torch.cat([inputs["input_ids"], more], dim=1)
    result["attention_mask"] = torch.ones_like(result["input_ids"])
    for name in inputs:
        if name.endswith("token_type_ids"):
            result[name] = torch.cat([inputs[name], torch.zeros_like(more)], dim=1)
    return result


def image_tokens(model: PreTrainedModel, inputs: Mapping[str, Any]) -> NDArray[np.bool_]:  # (tokens,)
    """Return which tokens of a prompt are images: what the router is told, or the model, or else by their id."""
    told = next((inputs[name][0] == 1 for name in _KINDS if name in inputs), None)
    if told is None:
        config = model.config
        number = getattr(config, "image_token_id", None)
        told = inputs["input_ids"][0] == (config.image_token_index if number is None else number)
    found: NDArray[np.bool_] = told.numpy()
    return found


@torch.no_grad()
def logits_of(model: PreTrainedModel, inputs: Mapping[str, Any]) -> Tensor:
    """Return the logits of each token of one sequence, run whole."""
    found: Tensor = model(**inputs, use_cache=False).logits[0]
    return found


def check_against_routers(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    name: str,
    layout: RouterLayout,
    sequences: Sequence[RoutedSequence],
) -> None:
    """Each prompt in plain transformers has the tokens, kinds, next tokens, experts and weights that were recorded."""
    for pictures, sequence in zip(PICTURES, sequences, strict=True):
        prompt = inputs_of(model, processor, text_of(name, images=len(pictures)), pictures)
        length = prompt["input_ids"].shape[1]
        assert sequence.prompt_length == length
        np.testing.assert_array_equal(sequence.token_ids[:length], prompt["input_ids"][0])
        kinds = np.full(len(sequence.token_ids), 2)
        kinds[:length] = image_tokens(model, prompt) if pictures else False
        np.testing.assert_array_equal(sequence.segments, kinds)
        whole = followed_by(prompt, sequence.token_ids[length:])
        logits: list[Tensor] = []
        said = routers_during(model, partial(_pass, model, whole, logits))
        likeliest = logits[0].argmax(-1).tolist()
        assert likeliest[length - 1 : -1] == sequence.token_ids[length:].tolist(), "other tokens were generated"
        if "moe_mm_token_type_ids" in whole:
            said = _joined_kinds(said, whole["moe_mm_token_type_ids"][0].bool().numpy(), layout)
        assert len(said) == len(layout.layers), "the routers that ran are not the layers recorded"
        for place, (selected, weights) in enumerate(said):
            recorded = sequence.experts[:, place, : layout.top_k[place]]
            np.testing.assert_array_equal(np.sort(recorded, axis=1), np.sort(selected, axis=1), err_msg=name)
            assert sequence.gate_weights is not None
            handed_over = sequence.gate_weights[:, place, : layout.top_k[place]]
            np.testing.assert_allclose(
                by_expert(recorded, handed_over), by_expert(selected, weights), **HALF_PRECISION, err_msg=name
            )


def _pass(model: PreTrainedModel, inputs: Mapping[str, Any], logits: list[Tensor]) -> None:
    logits.append(logits_of(model, inputs))


Said = list[tuple[NDArray[np.int64], NDArray[np.float64]]]


def _joined_kinds(said: Said, of_image: NDArray[np.bool_], layout: RouterLayout) -> Said:
    """Join what ERNIE's two routers of each layer said: of text, and of images, whose experts come after those."""
    if not of_image.any():
        return said
    joined = []
    for place, (text, images) in enumerate(zip(said[::2], said[1::2], strict=True)):
        selected = np.zeros((len(of_image), layout.top_k[place]), dtype=np.int64)
        weights = np.zeros(selected.shape)
        selected[~of_image], weights[~of_image] = text
        selected[of_image] = images[0] + layout.experts[place] // 2
        weights[of_image] = images[1]
        joined.append((selected, weights))
    return joined


def check_conservation(layout: RouterLayout, sequences: Sequence[RoutedSequence]) -> None:
    """See that counts of each layer in each segment are its tokens times k, and that a capture takes the sequence."""
    for place, sequence in enumerate(sequences):
        check_sequence(sequence, layout, prompt=f"p{place}", prompt_tokens=sequence.prompt_length)
        for layer, (experts, k) in enumerate(zip(layout.experts, layout.top_k, strict=True)):
            for segment in range(3):
                tokens = sequence.segments == segment
                selected = sequence.experts[tokens, layer]
                counts = np.bincount(selected[selected >= 0], minlength=experts)
                assert counts.sum() == tokens.sum() * k
                assert len(counts) == experts


def check_others(
    model: PreTrainedModel, processor: ProcessorMixin, name: str, layout: RouterLayout, sequence: RoutedSequence
) -> None:
    """Garbage in what was not recorded changes no bit of the logits of a prompt with an image.

    For all of its tokens, and by kind: what the tokens of one kind did not select, in the last layer, changes no bit of
    theirs. Inkling's layers end with a convolution over neighbouring tokens.
    """
    whole, before = _whole(model, processor, name, sequence)
    stacks, used = experts_of_layers(model, layout), _used(layout, sequence)
    others = [set(range(number)) - found for number, found in zip(layout.experts, used, strict=True)]
    with garbage_in(stacks, others):
        assert torch.equal(logits_of(model, whole), before), "an expert that was not recorded takes part"
    for segment in () if "inkling" in name else range(3):
        rows = np.flatnonzero(sequence.segments == segment)
        last = set(range(layout.experts[-1])) - _experts_in(sequence.experts[rows, -1])
        with garbage_in(stacks, [set() for _ in layout.layers[1:]] + [last]):
            assert torch.equal(logits_of(model, whole)[rows], before[rows]), f"other experts see segment {segment}"


def check_recorded(
    model: PreTrainedModel, processor: ProcessorMixin, name: str, layout: RouterLayout, sequence: RoutedSequence
) -> None:
    """Garbage in any expert that was recorded changes the logits of a prompt with an image."""
    whole, before = _whole(model, processor, name, sequence)
    stacks, used = experts_of_layers(model, layout), _used(layout, sequence)
    for place, experts in enumerate(used):
        for expert in experts:
            with garbage_in(stacks, [{expert} if one == place else set() for one in range(len(used))]) as any_weights:
                changed = not torch.equal(logits_of(model, whole), before)
            assert changed or not any_weights, f"expert {expert} of layer {place} was recorded but takes no part"


def _whole(
    model: PreTrainedModel, processor: ProcessorMixin, name: str, sequence: RoutedSequence
) -> tuple[dict[str, Any], Tensor]:
    """Return the inputs of the first prompt with what was generated, and their logits."""
    prompt = inputs_of(model, processor, text_of(name), PICTURES[0])
    whole = followed_by(prompt, sequence.token_ids[sequence.prompt_length :])
    before = logits_of(model, whole)
    assert torch.isfinite(before).all()
    return whole, before


def _used(layout: RouterLayout, sequence: RoutedSequence) -> list[set[int]]:
    return [_experts_in(sequence.experts[:, place]) for place in range(len(layout.layers))]


def _experts_in(experts: NDArray[np.integer]) -> set[int]:
    return set(np.unique(experts).tolist()) - {-1}


def experts_of_layers(model: PreTrainedModel, layout: RouterLayout) -> list[list[list[Tensor]]]:
    """Return, of each layer, the tensors of its routed experts one after another: those of text, then of images."""
    elsewhere = re.compile(r"shared_expert|vision_(?!moe)|visual|audio|router|self_attention")
    found: dict[int, dict[str, list[Tensor]]] = {layer: {} for layer in layout.layers}
    for name, parameter in model.named_parameters():
        of = re.search(r"(?:layers|blocks)\.(\d+)\.(.*\bexperts\..*)", name)
        if of is None or parameter.ndim < 2 or elsewhere.search(name) or int(of[1]) not in found:
            continue
        count = min(layout.experts[layout.layers.index(int(of[1]))], len(parameter))
        parts = list(parameter.detach().view(count, -1))
        found[int(of[1])].setdefault(of[2].replace("vision_moe", "text_moe"), []).extend(parts)
    return [list(found[layer].values()) for layer in layout.layers]


@contextmanager
def garbage_in(stacks: Sequence[Sequence[Sequence[Tensor]]], experts: Sequence[set[int]]) -> Iterator[bool]:
    """Overwrite all weights of these experts of each layer; yield whether there was any, and put them back after."""
    saved = [
        (stack[expert], stack[expert].clone())
        for layer, chosen in zip(stacks, experts, strict=True)
        for stack in layer
        for expert in chosen
        if expert < min(map(len, layer))
    ]
    try:
        for tensor, _ in saved:
            tensor.copy_(torch.randn(tensor.shape).to(tensor) * 100)
        yield bool(saved)
    finally:
        for tensor, original in saved:
            tensor.copy_(original)


def token_of_each_part(
    model: PreTrainedModel, processor: ProcessorMixin, name: str, grid: tuple[int, int]
) -> NDArray[np.int64]:  # (rows, columns)
    """Return which of a picture's tokens changes most when a part of the picture changes, by what the decoder gets."""
    rows, columns = grid
    _, decoder = decoder_of(model)
    heard: list[Tensor] = []

    def hear(_module: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        heard.append(kwargs["inputs_embeds"] if "inputs_embeds" in kwargs else args[0])

    def tokens(pixels: NDArray[np.uint8]) -> Tensor:  # (tokens of the image, width)
        inputs = inputs_of(model, processor, text_of(name), [Image.fromarray(pixels)])
        logits_of(model, inputs)
        return heard.pop()[0][inputs["input_ids"][0] == processor.image_token_id]

    handle = decoder.register_forward_pre_hook(hear, with_kwargs=True)
    plain = np.asarray(PICTURES[0][0])
    before, found = tokens(plain), np.zeros(grid, dtype=np.int64)
    for row, column in np.ndindex(grid):
        changed = plain.copy()
        height, width = plain.shape[0] // rows, plain.shape[1] // columns
        part = slice(row * height + 2, (row + 1) * height - 2), slice(column * width + 2, (column + 1) * width - 2)
        changed[part] = 255 - changed[part]
        found[row, column] = int((tokens(changed) - before).norm(dim=1).argmax())
    handle.remove()
    return found
