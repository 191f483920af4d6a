"""transformers' report of a loading, read: weights that are not the model's are refused.

transformers fills in random numbers for a tensor that a checkpoint lacks, leaves aside one that it does not know, and
goes on.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from moexray.engines.transformers.checkpoint import folder_of, unnamed_shards
from moexray.engines.transformers.failures import first_line, is_out_of_memory
from moexray.engines.transformers.quiet import quiet
from moexray.errors import ModelError

# What wrappers of a model put before the names of its tensors.
_WRAPPERS = ("_orig_mod.", "module.", "base_model.model.")
# Tensors that no result depends on: tables that are computed anew, counters and states of the training, scales of
# caches that serving engines pack.
_IDLE = re.compile(
    r"(inv_freq|freqs_cis|(cos|sin)_cached|masked_bias|position_ids|num_batches_tracked|tokens_per_expert|[kv]_scale|"
    r"(^|\.)_extra_state|(^|\.)version)$"
)
# Scales that pack activations; they are not needed where weights are unpacked.
_OF_ACTIVATIONS = re.compile(r"(input|output|activation)_(global_)?scale(_inv)?$")
_SCALE = re.compile(r"(scales?|scale_inv|zeros?|zero_point|absmax|quant_map|quant_state|SCB|g_idx|packed)$")
# Parts of a layer that predicts further tokens, which transformers does not run.
_FURTHER_TOKENS = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|embed_tokens|mtp\w*)\.")
# Parts beside the text decoder that text does not pass: heads of other tasks, drafts of further tokens, and what reads
# or makes images and sounds.
_BESIDE = re.compile(
    r"(^|\.)(score|scores|classifier|classification_head|qa_outputs|summary|cls|pooler|(v|value|reward|rm|regression)_head|"
    r"(mtp|nextn|medusa|eagle|draft)\w*|(\w+_)?(vision|visual|vit|image|audio|speech|sound|video|mm|multi_?modal)(_\w+)?|"
    r"vision\w+|talker|code2wav|token2wav|tts|\w*projector|resampler|perceiver|aligner|qformer|vae|view_sep\w+)(\.|$)"
)
_FIRST_NUMBER = re.compile(r"\.\d+(\.|$)")


def load_checked(
    name: str, packing: str | None, load: Callable[[], tuple[PreTrainedModel, Mapping[str, Any]]]
) -> PreTrainedModel:
    """Return the model that `load` returns beside its loading info, if every tensor of it was read.

    Parameters
    ----------
    packing
        The method that packed the weights in the files, if they are packed.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape or could not be converted, or if the files hold one that belongs to a
        module that runs and that the model does not use.
    """
    with quiet() as messages:
        try:
            model, info = load()
        except RuntimeError as error:
            unconverted = _unconverted(messages)
            if unconverted is None and (packing is None or is_out_of_memory(error)):
                raise
            if unconverted is None:
                message = (
                    f"model {name}: its weights, packed by {packing}, cannot be read here: {first_line(str(error))}"
                )
                raise ModelError(message) from error
            message = (
                f"model {name}: the tensors in its files that make {unconverted} do not fit together, or one of them "
                f"is missing: {_REMEDY}"
            )
            raise ModelError(message) from error
    unexpected = sorted(info["unexpected_keys"], key=_in_order)
    problem = (
        _missing(name, info["missing_keys"], unexpected)
        or _mismatched(info["mismatched_keys"])
        or _unread(model, unexpected, packing)
    )
    if problem:
        message = f"model {name}: {problem}: {_REMEDY}"
        raise ModelError(message)
    return model


_REMEDY = "download it anew, or name a checkpoint whose files are those of its config.json"


def _missing(name: str, missing: Collection[str], unexpected: Collection[str]) -> str | None:
    if not missing:
        return None
    names = sorted(missing, key=_in_order)
    wrapper = next((one for one in _WRAPPERS if any(key.startswith(one) for key in unexpected)), None)
    folder = folder_of(name)
    shards = [] if folder is None else unnamed_shards(folder)
    why = ""
    if wrapper is not None:
        why = f" (the names in its files begin with {wrapper!r}, which a wrapper left: save the model without it)"
    elif shards:
        why = f" ({shards[0]} lies beside them, but the index does not name it)"
    return f"its files do not hold {_some(names)}, which the model needs{why}"


def _mismatched(mismatched: Collection[tuple[str, Any, Any]]) -> str | None:
    for key, found, wanted in sorted(mismatched, key=lambda one: _in_order(one[0])):
        return f"{key} has the shape {tuple(found)} in its files, and {tuple(wanted)} by its config.json"
    return None


def _unread(model: PreTrainedModel, unexpected: Sequence[str], packing: str | None) -> str | None:
    """Return what the files hold that was not read, unless it is known that no result depends on it."""
    places = _Places(model)
    beyond: dict[int, list[str]] = {}
    others = []
    for key in unexpected:
        if _IDLE.search(key) or (packing is not None and _OF_ACTIVATIONS.search(key)):
            continue
        layer = places.layer_beyond(key)
        if places.runs(key):
            kind = "the scale" if _SCALE.search(key) else "the tensor"
            return f"its files hold {kind} {key}, which the model that config.json describes does not read"
        if layer is not None:
            beyond.setdefault(layer, []).append(key)
        elif not places.beside(key):
            others.append(key)
    for layer, keys in sorted(beyond.items()):
        if not any(_FURTHER_TOKENS.search(key) for key in keys):
            return f"its files hold {_some(keys)}, but by its config.json there is no layer {layer}"
    if others:
        return (
            f"its files hold {_some(others)}, which the model that config.json describes does not read (if nothing "
            "depends on that, write the files again without it)"
        )
    return None


class _Places:
    """Which names of tensors belong to modules of a model's text decoder or to its output."""

    def __init__(self, model: PreTrainedModel) -> None:
        get_decoder = getattr(model, "get_decoder", None)
        decoder = get_decoder() if callable(get_decoder) else model
        path = next((path for path, module in model.named_modules() if module is decoder), "")
        self._prefixes = ("", f"{model.base_model_prefix}.", f"{path}." if path else "")
        # Parts of a model of several kinds of input that its decoder is no part of.
        self._others = tuple(
            f"{name}."
            for name, module in model.named_modules()
            if path and name and not f"{path}.".startswith(f"{name}.") and not name.startswith(f"{path}.")
            if any(True for _ in module.children()) and "head" not in name
        )
        within = f"{path}." if path else ""
        lists = {
            f"{within}{name}": len(module)
            for name, module in decoder.named_children()
            if isinstance(module, nn.ModuleList)
        }
        self._lists = lists
        self._layers = tuple(f"{list_}.{layer}." for list_, number in lists.items() for layer in range(number))
        self._leaves = {
            name
            for name, module in model.named_modules()
            if name and not any(True for _ in module.children()) and (name.startswith(within) or "." not in name)
        }

    def runs(self, key: str) -> bool:
        """Whether a tensor would belong to a layer of the decoder, or to a module without parts such as the head."""
        return any(name.startswith(self._layers) or name.rpartition(".")[0] in self._leaves for name in self._full(key))

    def beside(self, key: str) -> bool:
        """Whether a tensor belongs to a part that text does not pass, by its name or by its place in the model."""
        above = key[: found.start() + 1] if (found := _FIRST_NUMBER.search(key)) else key
        return bool(_BESIDE.search(above)) or any(name.startswith(self._others) for name in self._full(key))

    def layer_beyond(self, key: str) -> int | None:
        """Return the layer that a tensor would belong to if the decoder had as many."""
        for name in self._full(key):
            for list_, number in self._lists.items():
                found = re.match(rf"{re.escape(list_)}\.(\d+)\.", name)
                if found and int(found[1]) >= number:
                    return int(found[1])
        return None

    def _full(self, key: str) -> list[str]:
        return [f"{prefix}{key}" for prefix in dict.fromkeys(self._prefixes)]


def _unconverted(messages: Collection[str]) -> str | None:
    """Return the tensor that transformers could not make of others, from its report of the loading."""
    rows = (line.split("|") for message in messages for line in message.splitlines() if "CONVERSION" in line)
    return next((first_line(row[0]) for row in rows if len(row) > 1), None)


def _some(names: Collection[str]) -> str:
    first = next(iter(names))
    others = len(names) - 1
    return first if not others else f"{first} and {others} other tensor{'s' if others > 1 else ''}"


def _in_order(key: str) -> list[tuple[int, str]]:
    """Sort names so that layer 2 comes before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in key.split(".")]
