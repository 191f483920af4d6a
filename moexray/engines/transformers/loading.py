"""Loading a model and its tokenizer; every failure is one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.processing_utils import ProcessorMixin

from moexray.engines.transformers.adapters import NOT_BESIDE, adapter_files, apply_adapter, check_adapter
from moexray.engines.transformers.architectures import model_class
from moexray.engines.transformers.checkpoint import commit_of, folder_of, source_of
from moexray.engines.transformers.checkpoint_code import check_generates, explained_code
from moexray.engines.transformers.checkpoint_config import known_dtype, packing_of, quantization_of, read_config
from moexray.engines.transformers.configuration import greatest, text_config
from moexray.engines.transformers.end_tokens import generation_settings
from moexray.engines.transformers.failures import explained, is_out_of_memory
from moexray.engines.transformers.fingerprint import checksum_of_state, fingerprint_of_adapter, fingerprint_of_folder
from moexray.engines.transformers.image_inputs import check_reads_images
from moexray.engines.transformers.loading_report import load_checked
from moexray.engines.transformers.memory import free_memory
from moexray.engines.transformers.processors import read_processor
from moexray.engines.transformers.quiet import quiet
from moexray.engines.transformers.resources import DTYPES
from moexray.engines.transformers.stored_scales import blocks_of, check_scales
from moexray.engines.transformers.stored_weights import check_numbering, restore
from moexray.engines.transformers.taps import check_type, find_taps
from moexray.engines.transformers.tokenizers import read_tokenizer
from moexray.errors import ModelError

_MOST_LAYERS = 10_000


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with its tokenizer, and the name under which it was loaded.

    Attributes
    ----------
    packing
        The method that packed the weights in its files; None where they were not packed.
    adapter
        The adapter that was applied to it.
    revision
        The commit of a hub model.
    fingerprint
        That of the files it was loaded from: see `moexray.engines.transformers.fingerprint`. Empty for a model that
        was made in memory.
    checksum
        Of its numbers when it was loaded, which tells whether they are still those of the files; None where nobody
        could have changed them.
    processor
        What makes tokens and pixels of a text with images; None where none was asked for.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    packing: str | None = None
    adapter: str | None = None
    revision: str | None = None
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    checksum: str | None = None
    processor: ProcessorMixin | None = None


def load_model(name: str, **options: Any) -> LoadedModel:
    """Load a model as `read_model` does; what is changed in it afterwards shows in the fingerprint of a capture."""
    found = read_model(name, **options)
    return replace(found, checksum=checksum_of_state(found.model))


def read_model(
    name: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    adapter: str | None = None,
    images: bool = False,
) -> LoadedModel:
    """Load `name`: ``scale`` (the embedded model), a local folder, or an id on the Hugging Face hub.

    Parameters
    ----------
    device
        A torch device; by default CUDA, then MPS, then the CPU. ``auto`` spreads the layers over all
        GPUs, then memory, then the disk, which needs accelerate.
    dtype
        ``float64``, ``float32``, ``bfloat16`` or ``float16``; by default what the model's configuration says.
    revision
        Branch, tag or commit of a hub model.
    trust_remote_code
        Run the Python code that comes with a checkpoint.
    adapter
        The folder or hub id of an adapter of peft that is applied to the model.
    images
        Read the processor as well, and the model that reads images.

    Raises
    ------
    ModelError
        If there is no such model, it is dense, does not fit into memory, its files do not hold the weights that its
        configuration describes, or an option is not known.
    """
    place = None if device == "auto" else device_of(device)
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = read_config(name, **options)
    commit = commit_of(name, revision)
    options["revision"] = commit or revision  # a branch may move while it is loaded
    wanted = _dtype(dtype) or known_dtype(config, folder_of(name, commit))
    packing = quantization_of(config)
    try:
        with explained(name):
            blocks = blocks_of(packing_of(config)) if packing == "fp8" else None  # loading may take the settings out
            check_adapter(name, adapter, options["revision"])
            of_skeleton = {"trust_remote_code": trust_remote_code, "images": images}
            _check_before_loading(config, name, place, wanted or torch.float32, **of_skeleton)
            tokenizer = read_tokenizer(source_of(name), config, **options)
            processor = read_processor(source_of(name), config, **options) if images else None
            with quiet():
                generation_settings(source_of(name), options["revision"])
            model = load_checked(
                name,
                packing,
                lambda: _from_pretrained(name, config, place, images=images, dtype=wanted or "auto", **options),
            )
            folder = folder_of(name, commit)
            if folder is not None:
                check_scales(name, folder, packing, blocks)
                check_numbering(name, folder)
                restore(model, folder)
            if adapter is not None:
                apply_adapter(model, adapter)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = (
            f"model {name} does not fit into the memory of {place or 'all devices'}: "
            'try `dtype="bfloat16"`, or another `device`'
        )
        raise ModelError(message) from error
    fingerprint = {} if folder is None else fingerprint_of_folder(folder)
    if adapter is not None:
        fingerprint["adapter"] = fingerprint_of_adapter(adapter_files(adapter))
    return LoadedModel(name, model, tokenizer, packing, adapter, commit, fingerprint, processor=processor)


def build_skeleton(config: Any, *, trust_remote_code: bool = False, images: bool = False) -> PreTrainedModel:
    """Build the model of a configuration without its weights: the one that reads images, where that is asked for.

    Raises
    ------
    ModelError
        If it has more layers than any model, which would take hours and all memory to build.
    """
    layers = greatest(text_config(config), "num_hidden_layers")
    if layers is not None and layers > _MOST_LAYERS:
        message = f"its config.json says that it has {layers:,} layers, and no model has more than {_MOST_LAYERS:,}"
        raise ModelError(message)
    with torch.device("meta"), quiet(), explained_code("building the model of its configuration"):
        skeleton: PreTrainedModel = model_class(config.model_type, images=images).from_config(
            config, trust_remote_code=trust_remote_code
        )
    return skeleton


def _from_pretrained(
    name: str, config: Any, place: torch.device | None, *, images: bool, **options: Any
) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    """Load the weights to `place`, or where accelerate finds room if it is None, with the report of it."""
    quantization = quantization_of(config)
    if quantization == "mxfp4":
        # Its own kernels select and compute in one, where no hook sees the selections.
        packing_of(config)["dequantize"] = True
    elif quantization is not None and place is not None:
        options["device_map"] = {"": place}  # packed weights cannot be moved once they are loaded
    if place is None:
        options["device_map"] = "auto"
    model, info = model_class(config.model_type, images=images).from_pretrained(
        source_of(name),
        config=config,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # it says both shapes, where an error names none
        adapter_kwargs=NOT_BESIDE,
        **options,
    )
    return (model if "device_map" in options else model.to(place)).eval(), info


def device_of(name: str | None) -> torch.device:
    """Return the torch device of that name; the fastest one if it is None."""
    if name is None:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        message = f"device {name!r} cannot be used here: {str(error).splitlines()[0]}"
        raise ModelError(message) from error
    if device.type == "meta":
        message = "device 'meta' holds no numbers: name cpu, cuda or mps"
        raise ModelError(message)
    return device


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None or name == "auto":
        return None
    if name not in DTYPES:
        message = f"`dtype` is {name!r}: choose {', '.join(DTYPES)}, or leave it out for the checkpoint's own"
        raise ModelError(message)
    return DTYPES[name]


def _check_before_loading(
    config: Any,
    name: str,
    device: torch.device | None,
    dtype: torch.dtype,
    *,
    trust_remote_code: bool,
    images: bool,
) -> None:
    """Build the model without its weights, to refuse a dense or a too large one before they are fetched."""
    try:
        check_type(config.model_type)
        skeleton = build_skeleton(config, trust_remote_code=trust_remote_code, images=images)
        if images:
            check_reads_images(skeleton)
        check_generates(skeleton)
        find_taps(skeleton, images=images)
    except ModelError as error:
        message = f"model {name}: {error}"
        raise ModelError(message) from error
    if device is None or quantization_of(config) not in (None, "mxfp4"):
        return  # it may go to the disk, or its weights are smaller than their number says
    needed = sum(parameter.numel() for parameter in skeleton.parameters()) * dtype.itemsize
    free = free_memory(device)
    if free is not None and needed > free:
        message = (
            f"model {name} needs {needed / 1e9:.1f} GB as {str(dtype).removeprefix('torch.')}, "
            f"but {device} has {free / 1e9:.1f} GB free: try a smaller `dtype`, or another `device`"
        )
        raise ModelError(message)
