"""The description of what runs: JSON values by name for the meta of signatures, and the model's fingerprint."""

from collections.abc import Mapping, Sequence
from typing import Any

import transformers
from transformers import PreTrainedModel

from moexray.engines.transformers.checkpoint_code import code_files
from moexray.engines.transformers.checkpoint_config import quantization_of
from moexray.engines.transformers.experts import bytes_of_expert
from moexray.engines.transformers.fingerprint import (
    checksum_of_state,
    fingerprint_of_code,
    fingerprint_of_processor,
    fingerprint_of_state,
    fingerprint_of_template,
    fingerprint_of_tokenizer,
)
from moexray.engines.transformers.hooks import Tap, input_device
from moexray.engines.transformers.image_inputs import ImagePrompts
from moexray.engines.transformers.loading import LoadedModel
from moexray.model_fingerprint import KEY


def described_model(
    loaded: LoadedModel,
    model: PreTrainedModel,
    taps: Sequence[Tap],
    *,
    settings: Mapping[str, Any],
    end_tokens: frozenset[int],
    switched_off: Sequence[str],
    images: ImagePrompts | None,
) -> dict[str, Any]:
    """Return what is known of a model before anything runs.

    Parameters
    ----------
    loaded, model, taps
        The model as it was loaded, the one that runs, and the taps of its MoE layers.
    settings
        How prompts become tokens.
    end_tokens
        What ends a sequence.
    switched_off
        Outputs that the configuration asks for and that are not computed.
    images
        What makes the inputs of prompts with images, if there may be some.
    """
    config = model.config
    packing = quantization_of(config) or loaded.packing
    return {
        "model": loaded.name,
        "engine": "transformers",
        "engine_version": transformers.__version__,
        "revision": loaded.revision,
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": packing,
        **({"unpacked": True} if packing is not None and quantization_of(config) is None else {}),
        "device": input_device(model).type,
        "attention_implementation": config._attn_implementation,
        "tokenizer": type(loaded.tokenizer).__name__,
        **settings,
        **({} if images is None else images.settings),
        "end_tokens": sorted(end_tokens),
        "tokenizer_end_token": getattr(loaded.tokenizer, "eos_token_id", None),
        "switched_off": switched_off,
        **({} if loaded.adapter is None else {"adapter": loaded.adapter}),
        **_sizes(taps),
        KEY: _fingerprint(loaded, model, with_template=settings["chat_template"], with_images=images is not None),
    }


def _sizes(taps: Sequence[Tap]) -> dict[str, list[int]]:
    """Return how large an expert of each layer is; nothing where a layer has groups of experts of unequal size."""
    sizes = []
    for tap in taps:
        ends = (*tap.starts[1:], tap.experts)
        groups = {
            bytes_of_expert((holder,), end - start)
            for holder, start, end in zip(tap.holders, tap.starts, ends, strict=False)
        }
        if len(groups) > 1:
            return {}
        sizes.append(groups.pop() if groups else bytes_of_expert(tap.holders, tap.experts))
    return {"expert_bytes": sizes}


def weights_now(loaded: LoadedModel, model: PreTrainedModel) -> dict[str, str]:
    """Return the fingerprint of the weights: that of the files, unless they were changed after they were loaded."""
    if loaded.checksum is not None and loaded.checksum != checksum_of_state(model):
        return {"weights": fingerprint_of_state(model)}
    return {"weights": loaded.fingerprint["weights"]} if "weights" in loaded.fingerprint else {}


def _fingerprint(
    loaded: LoadedModel, model: PreTrainedModel, *, with_template: bool, with_images: bool
) -> dict[str, str]:
    found = {**loaded.fingerprint, "tokenizer": fingerprint_of_tokenizer(loaded.tokenizer)}
    if with_template:
        found["chat_template"] = fingerprint_of_template(loaded.tokenizer)
    if with_images:
        found["processor"] = fingerprint_of_processor(loaded.processor)
    of_images = (loaded.processor, getattr(loaded.processor, "image_processor", None)) if with_images else ()
    if code := code_files(model, model.config, loaded.tokenizer, *of_images):
        found["code"] = fingerprint_of_code(code)
    return found
