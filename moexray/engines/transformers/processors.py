"""Reading the processor of a checkpoint, which makes tokens and pixels of a text with images."""

import json
from typing import Any

from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
from transformers.processing_utils import ProcessorMixin
from transformers.utils import cached_file

from moexray.engines.transformers.checkpoint_code import explained_code
from moexray.engines.transformers.quiet import quiet
from moexray.errors import ModelError

# Files that may name the processor's class.
_NAMING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
_NONE = (
    "it comes without a processor of images: put its preprocessor_config.json, or processor_config.json, beside its "
    "config.json"
)
# How transformers begins where there is no such file, or none that names a processor of images.
_UNNAMED = ("Can't load image processor", "Unrecognized image processor", "Unrecognized processing class")
_TORCHVISION = "its processor of images needs a package that is not installed: pip install torchvision"
_VIDEO, _SOUND = "video_processor", ("feature_extractor", "audio_processor")


def read_processor(source: str, config: Any, **options: Any) -> ProcessorMixin:
    """Read the processor of a folder or a hub model, with a tokenizer of its own, which it may change.

    A processor of images and videos is made without its part for videos where torchvision, which that part needs, is
    not installed.

    Parameters
    ----------
    config
        The model's configuration, which says what processor to expect.
    options
        ``revision`` and ``trust_remote_code``.

    Raises
    ------
    ModelError
        If there is none, it is damaged, or it needs a package that is not installed.
    CheckpointCodeError
        If its own code fails.
    """
    try:
        with explained_code("its processor"), quiet():
            processor = _read(source, config, options)
    except ImportError as error:
        raise ModelError(_missing(error)) from error
    except (OSError, ValueError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise
        if "torchvision" in str(error):
            raise ModelError(_TORCHVISION) from error
        if str(error).startswith(_UNNAMED):
            raise ModelError(_NONE) from error
        message = f"its processor of images could not be read: {_line(error)}"
        raise ModelError(message) from error
    parts = [getattr(processor, name, None) for name in ("tokenizer", "image_processor")]
    if not isinstance(processor, ProcessorMixin) or None in parts:
        raise ModelError(_NONE)
    return processor


def _read(source: str, config: Any, options: dict[str, Any]) -> Any:
    try:
        return AutoProcessor.from_pretrained(source, config=config, **options)
    except (ImportError, ValueError, OSError):
        found = _class_of(source, config, options)
        if found is None or _VIDEO not in found.get_attributes():
            raise
    return _read_without_video(found, source, config, options)


def _read_without_video(found: Any, source: str, config: Any, options: dict[str, Any]) -> Any:
    """Make a processor of its parts but that for videos, and one for sound where there is none."""
    readers = {"tokenizer": AutoTokenizer, "image_processor": AutoImageProcessor}
    parts: list[Any] = []
    for name in found.get_attributes():
        if name == _VIDEO:
            parts.append(None)
        elif name in _SOUND:
            parts.append(_sound(source, options))
        else:
            parts.append(readers[name].from_pretrained(source, config=config, **options))
    settings, _ = found.get_processor_dict(source, revision=options.get("revision"))
    return without_parts(found).from_args_and_dict(parts, settings)


def without_parts(found: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Return a processor's class that takes None for its parts for videos and sound."""

    class Processor(found):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument is None and argument_name in (_VIDEO, *_SOUND):
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    Processor.__name__ = Processor.__qualname__ = found.__name__
    return Processor


def _sound(source: str, options: dict[str, Any]) -> Any:
    try:
        return AutoFeatureExtractor.from_pretrained(source, **options)
    except (ImportError, OSError, ValueError, KeyError):
        return None  # no sound is given to it


def _class_of(source: str, config: Any, options: dict[str, Any]) -> Any:
    """Return the class of transformers that a checkpoint names, or else that of its kind of model; None for neither."""
    for file in _NAMING:
        path = cached_file(source, file, revision=options.get("revision"), _raise_exceptions_for_missing_entries=False)
        if path is not None:
            with open(path, encoding="utf-8") as stream:  # noqa: PTH123  # a path of the cache, as a text
                named = json.load(stream).get("processor_class")
            if isinstance(named, str):
                return processor_class_from_name(named)
    return PROCESSOR_MAPPING.get(type(config), None)


def _missing(error: ImportError) -> str:
    text = str(error)
    if "torchvision" in text.lower():
        return _TORCHVISION
    if "PIL" in text or "Pillow" in text.lower():
        return "images need a package that is not installed: pip install pillow"
    return f"its processor of images needs a package that is not installed: {_line(error)}"


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
