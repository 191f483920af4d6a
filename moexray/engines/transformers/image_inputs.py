"""Inputs of prompts with images, made by the model's own processor, each prompt by itself."""

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel
from transformers.processing_utils import ProcessorMixin

from moexray.engines.transformers.chat_templates import ChatTemplate, cause_of, has_format
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.image_grids import fills, grids_of, tokens_of_images
from moexray.engines.transformers.image_probe import check_images
from moexray.engines.transformers.prompt_inputs import PromptInputs, arguments_of, is_by_token
from moexray.errors import CaptureError, ModelError, MoexrayError
from moexray.prompts import Prompt
from moexray.prompts.images import PromptImage, opened
from moexray.recorded_images import RecordedImage
from moexray.segments import WITH_IMAGES, Segment

# What says which tokens are images, the model's own router first: 1 is an image, 2 a video, 3 sound.
_KINDS = ("moe_mm_token_type_ids", "mm_token_type_ids")
_IMAGE = 1
# What a processor returns of the text, which is made anew for a batch.
_OF_TEXT = {"input_ids", "attention_mask"}
# What tokenizers return whether the model takes it or not.
_OPTIONAL = {"token_type_ids"}
_CLASSES = ("processor_type", "processor_class", "transformers_version")
_IDS = ("image_token_id", "image_token_index", "img_context_token_id", "media_placeholder_token_id")


def placeholders_of(config: Any) -> frozenset[int]:
    """Return the token ids that stand for parts of an image, by a model's configuration."""
    found = (getattr(config, name, None) for name in _IDS)
    return frozenset(one for one in found if isinstance(one, int) and one >= 0)


def check_reads_images(model: Any) -> None:
    """Refuse a model that reads text only.

    Raises
    ------
    ModelError
        If its forward takes no pixels.
    """
    names = inspect.signature(model.forward).parameters
    if not any(name.startswith("pixel_values") and "video" not in name for name in names):
        name = type(model).__name__
        message = f"{name} reads text only: take the images out of the prompts, or choose a model that reads images"
        raise ModelError(message)


def settings_of(image_processor: Any) -> dict[str, Any]:
    """Return the settings of what turns images into pixels: JSON values by name, those that are not set left out."""
    written = json.loads(json.dumps(image_processor.to_dict(), default=str))
    return {name: value for name, value in written.items() if value is not None and not name.endswith(_CLASSES)}


class ImagePrompts:
    """Makes the inputs of prompts with images.

    Parameters
    ----------
    processor
        The model's own.
    model
        The model: its configuration and its forward.
    raw
        Leave out the chat template.
    chat_template, template_options, system
        See `moexray.engines.transformers.chat_templates.ChatTemplate`.

    Raises
    ------
    ModelError
        If the model reads text only.
    """

    def __init__(
        self,
        processor: ProcessorMixin | None,
        model: PreTrainedModel,
        *,
        raw: bool = False,
        chat_template: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        system: str | None = None,
    ) -> None:
        check_reads_images(model)
        if processor is None:
            message = "the model was loaded without its processor: load it with `images=True`"
            raise ModelError(message)
        self._model = model
        self._processor = processor
        self._takes = inspect.signature(model.forward).parameters
        self._sizes: dict[tuple[int, int], bool] = {}  # height and width of images, and whether they fill their grid
        own = getattr(processor, "image_token_id", None)
        self.placeholders = placeholders_of(model.config) or frozenset([own] if isinstance(own, int) else [])
        if not self.placeholders:
            message = f"{type(model).__name__} does not say which token stands for a part of an image"
            raise ModelError(message)
        self._template: ChatTemplate | None = None
        tokenizer = processor.tokenizer
        if getattr(processor, "chat_template", None) is not None:
            tokenizer.chat_template = processor.chat_template  # some checkpoints have one for each
        if not raw and has_format(tokenizer):
            self._template = ChatTemplate(tokenizer, name=chat_template, options=template_options, system=system)

    @property
    def settings(self) -> dict[str, Any]:
        """How images become pixels, for the meta of signatures: JSON values by name."""
        image_processor = self._processor.image_processor
        return {
            "processor": type(self._processor).__name__,
            # Those that compute with torchvision resize otherwise than those that compute with Pillow.
            "image_processor": type(image_processor).__name__,
            "image_settings": settings_of(image_processor),
            "image_chat_template": self._template is not None,
        }

    def begin_at(self, moment: datetime) -> str | None:
        """Take the time that a template gets which asks for it; return what it reads, or None where none asks."""
        return None if self._template is None else self._template.begin_at(moment)

    def try_out(self, taps: Sequence[Tap]) -> None:
        """Run the model on small images: see `moexray.engines.transformers.image_probe`.

        Raises
        ------
        ModelError
            If the model does not read them, or its tokens cannot be heard.
        """

        def inputs(image: PromptImage) -> dict[str, Tensor]:
            prompt = Prompt(
                str(getattr(self._processor, "image_token", "")), category="", id=image.name, images=(image,)
            )
            return arguments_of(self._inputs(prompt, prompt.text, {}), self._model)

        if isinstance(getattr(self._processor, "image_token", None), str):
            try:
                check_images(self._model, taps, inputs)
            except CaptureError as error:
                raise ModelError(str(error)) from error

    def of(self, prompt: Prompt) -> PromptInputs:
        """Return the inputs of a prompt with images.

        Raises
        ------
        CaptureError
            If an image has no place in the text, or the text and the pixels do not belong together.
        MoexrayError
            If an image cannot be read, or has changed since the prompt was.
        """
        text, options = self._text(prompt)
        self._check_places(prompt, text)
        return self._inputs(prompt, text, options)

    def _inputs(self, prompt: Prompt, text: str, options: Mapping[str, Any]) -> PromptInputs:
        pictures = [opened(image) for image in prompt.images]
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of numpy, in some processors
                encoded = self._processor(text=[text], images=[pictures], return_tensors="pt", **options)
        except MoexrayError:
            raise
        except Exception as error:  # a processor is a checkpoint's own, and may raise anything
            message = f"prompt {prompt.id!r} cannot be read by this model's processor: {cause_of(error)}"
            raise CaptureError(message) from error
        return self._checked(prompt, encoded, [(one.height, one.width) for one in pictures])

    def check_text(self, prompt: Prompt, token_ids: Sequence[int] | NDArray[np.integer]) -> None:
        """Refuse text that holds the placeholder of an image, without an image.

        Raises
        ------
        CaptureError
            If it does.
        """
        found = np.isin(token_ids, list(self.placeholders))
        if found.any():
            token = self._processor.tokenizer.decode([int(np.asarray(token_ids)[found][0])])
            message = f"prompt {prompt.id!r} holds {token!r}, which stands for an image, without one: take it out"
            raise CaptureError(message)

    def _text(self, prompt: Prompt) -> tuple[str, dict[str, Any]]:
        """Return the text with a placeholder for each image, and how it is tokenized."""
        if self._template is None:
            if prompt.messages is not None:
                message = (
                    f"prompt {prompt.id!r} is a chat, and no chat template is applied: leave out `raw=True`, "
                    "or choose a model whose processor has a template"
                )
                raise CaptureError(message)
            return prompt.text, {}
        text = self._template.text(prompt)
        begins = self._processor.tokenizer.bos_token
        # As transformers does: the tokenizer adds no second beginning to a template's own.
        return text, {"add_special_tokens": False} if begins is not None and text.startswith(begins) else {}

    def _check_places(self, prompt: Prompt, text: str) -> None:
        placeholder = getattr(self._processor, "image_token", None)
        if not isinstance(placeholder, str) or text.count(placeholder) == len(prompt.images):
            return
        of = f"{len(prompt.images)} image" + "s" * (len(prompt.images) != 1)
        where = "its text" if self._template is None else "its text in the model's chat template"
        message = (
            f"prompt {prompt.id!r} has {of}, but {where} holds the placeholder {placeholder!r} "
            f"{text.count(placeholder)} times: each image needs one"
        )
        raise CaptureError(message)

    def _checked(self, prompt: Prompt, encoded: Mapping[str, Any], sizes: list[tuple[int, int]]) -> PromptInputs:
        ids = np.asarray(encoded["input_ids"], dtype=np.int32).reshape(-1)
        tensors = {name: one for name, one in encoded.items() if name not in _OF_TEXT}
        by_token = {name: torch.as_tensor(one) for name, one in tensors.items() if is_by_token(name)}
        by_image = {name: one for name, one in tensors.items() if not is_by_token(name)}
        self._check_tensors(prompt, by_token, by_image, len(ids))
        kinds = next((by_token[name][0] for name in _KINDS if name in by_token), None)
        is_placeholder = np.isin(ids, list(self.placeholders))
        is_image = is_placeholder if kinds is None else kinds.numpy() == _IMAGE
        if kinds is not None and (kinds > _IMAGE).any():
            self._refuse(prompt, "its text holds a place for a video or for sound, and only images are recorded")
        if not (is_image[is_placeholder].all() and is_placeholder.any()):
            self._refuse(prompt, "its processor put no tokens of an image into the text")
        self._check_markers(prompt, ids, is_image, is_placeholder)
        grids = grids_of(self._processor, encoded)
        if "image_grid_thw" in by_image and len(by_image["image_grid_thw"]) != len(sizes):
            found = len(by_image["image_grid_thw"])
            self._refuse(prompt, f"its processor made {found} images of {len(sizes)}")
        return PromptInputs(
            ids,
            np.where(is_image, WITH_IMAGES.index(Segment("prompt", "image")), 0).astype(np.int8),
            {name: one for name, one in by_token.items() if name in self._takes},
            by_image,
            self._recorded(prompt, is_placeholder, grids, sizes),
        )

    def _check_markers(
        self, prompt: Prompt, ids: NDArray[np.int32], is_image: NDArray[np.bool_], is_placeholder: NDArray[np.bool_]
    ) -> None:
        """Refuse text that holds a marker of an image where none is: ERNIE's router would take it for part of one."""
        runs = np.split(np.arange(len(ids)), np.flatnonzero(np.diff(is_image)) + 1)
        without = [run for run in runs if is_image[run[0]] and not is_placeholder[run].any()]
        markers = np.flatnonzero(is_image & ~is_placeholder)
        if without or ("moe_mm_token_type_ids" in self._takes and len(markers) > 2 * len(prompt.images)):
            token = self._processor.tokenizer.decode([int(ids[without[0][0] if without else markers[0]])])
            self._refuse(prompt, f"its text holds {token!r}, which marks an image, where none is: take it out")

    def _recorded(
        self,
        prompt: Prompt,
        is_placeholder: NDArray[np.bool_],
        grids: Sequence[tuple[int, int]] | None,
        sizes: list[tuple[int, int]],
    ) -> tuple[RecordedImage, ...]:
        number = len(prompt.images)
        tokens: Sequence[int | None] = [None] * number
        tokens = tokens_of_images(self._processor, is_placeholder, grids, sizes) or tokens
        if grids is None or [rows * columns for rows, columns in grids] != tokens:
            grids = None
        places: Sequence[tuple[int | None, int | None]] = [(None, None)] * number
        if grids is not None:
            places = [grid if self._fills(size) else (None, None) for grid, size in zip(grids, sizes, strict=True)]
        return tuple(
            RecordedImage(image.name, image.sha256, image.width, image.height, number_of, rows, columns)
            for image, number_of, (rows, columns) in zip(prompt.images, tokens, places, strict=True)
        )

    def _fills(self, size: tuple[int, int]) -> bool:
        if size not in self._sizes:
            self._sizes[size] = fills(self._processor.image_processor, *size)
        return self._sizes[size]

    def _check_tensors(
        self, prompt: Prompt, by_token: Mapping[str, Tensor], by_image: Mapping[str, Any], tokens: int
    ) -> None:
        for name, one in by_token.items():
            if tuple(one.shape) != (1, tokens):
                self._refuse(prompt, f"its processor gives {name} of shape {tuple(one.shape)} for {tokens} tokens")
        for name, one in by_image.items():
            if not isinstance(one, list) and (not isinstance(one, Tensor) or one.ndim == 0):
                self._refuse(prompt, f"its processor gives {name}, which cannot be put into a batch")
            if isinstance(one, Tensor) and one.is_floating_point() and not torch.isfinite(one).all():
                self._refuse(prompt, f"its processor gives {name} that are no numbers")
        unknown = [name for name in (*by_token, *by_image) if name not in self._takes and name not in _OPTIONAL]
        if unknown:
            self._refuse(prompt, f"its processor gives {unknown[0]}, which the model does not take by that name")
        if not any(name.startswith("pixel_values") for name in by_image):
            self._refuse(prompt, "its processor gives no pixels")

    def _refuse(self, prompt: Prompt, problem: str) -> None:
        message = f"the images of prompt {prompt.id!r} cannot be run with this model: {problem}"
        raise CaptureError(message)
