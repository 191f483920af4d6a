"""The MoE architectures of the installed transformers: which tap records each, and why some are refused."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES, model_type_to_module_name

from moexray.engines.transformers.hooks import SELECTION_NAMES
from moexray.engines.transformers.special_taps import SPECIAL_TAPS

_TWO_STACKS = "it encodes the prompt with one stack and writes with another, so no layer sees all tokens"
REFUSED = {
    "diffusion_gemma": "it writes by refining whole blocks of tokens again and again, so no token is routed once",
    "doge": "its router mixes the tokens that run together, so no token has a routing of its own",
    "nllb-moe": f"{_TWO_STACKS}; and transformers runs experts 0 and 1 for every token, whatever the router selects",
    "qwen3_omni_moe": "it speaks as it writes: record its text model alone, saved as qwen3_omni_moe_thinker",
    "switch_transformers": f"{_TWO_STACKS}; and a full expert drops tokens, by how many pass it at a time",
}
# These models route a prompt differently beside others, so their prompts run one by one.
# These run one by one: see `moexray.engines.transformers.sharing`.
ALONE = {
    "deepseek_v4": "its compressed attention takes padding for tokens",
    "granitemoe_swa": "its sliding attention makes padding, and then every token, not a number",
}

_LOADERS = (
    (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, AutoModelForCausalLM),
    (modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, AutoModelForImageTextToText),
    (modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES, AutoModelForMultimodalLM),
)
_MODELS = Path(transformers.__file__).parent / "models"
_CLASS = re.compile(r"^class (\w*(?:Experts|NaiveMoe|MoE|Moe|MoeBlock))\b", re.MULTILINE)
_TAKES_SELECTIONS = re.compile(rf"def forward\([^)]*\b(?:{'|'.join(SELECTION_NAMES)})\b")


@dataclass(frozen=True)
class Architecture:
    """One MoE architecture of transformers.

    Attributes
    ----------
    model_type
        Its name in configurations.
    tap
        ``generic``, ``special`` or ``refused``.
    reason
        Why it is refused, or runs one prompt at a time; otherwise empty.
    """

    model_type: str
    tap: str
    reason: str


def model_class(model_type: str, *, images: bool = False) -> Any:
    """Return the auto class that loads a model of this type to write text; for unknown types, that of causal models.

    Parameters
    ----------
    model_type
        Its name in configurations.
    images
        Whether it is to read images. Some types name a model of text as well, which takes pixels and ignores them.
    """
    loaders = (*_LOADERS[1:], _LOADERS[0]) if images else _LOADERS
    return next((loader for names, loader in loaders if model_type in names), AutoModelForCausalLM)


def refusal(model_type: str) -> str | None:
    """Return why a model of this type cannot be recorded, as far as its type alone says; None where it may be."""
    if model_type in REFUSED:
        return REFUSED[model_type]
    if model_type not in CONFIG_MAPPING_NAMES or any(model_type in names for names, _ in _LOADERS):
        return None
    if model_type in modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return _TWO_STACKS
    return "it does not write text after a prompt"


@cache
def moe_architectures() -> tuple[Architecture, ...]:
    """Return every MoE architecture of the installed transformers, from its sources: no model is built."""
    return tuple(found for path in sorted(_MODELS.glob("*/modeling_*.py")) for found in _of_source(path))


def _of_source(path: Path) -> Iterator[Architecture]:
    source = path.read_text(encoding="utf-8")
    classes = set(_CLASS.findall(source))
    if not classes:
        return
    types = [name for name in CONFIG_MAPPING_NAMES if model_type_to_module_name(name) == path.parent.name]
    writers = [name for name in types if any(name in names for names, _ in _LOADERS)]
    whole = [name for name in writers if not name.endswith("_text")] or writers or types[:1]
    for name in whole:
        reason = refusal(name)
        if reason is not None:
            yield Architecture(name, "refused", reason)
        elif classes & set(SPECIAL_TAPS):
            yield Architecture(name, "special", ALONE.get(name, ""))
        elif _TAKES_SELECTIONS.search(source):
            yield Architecture(name, "generic", ALONE.get(name, ""))
        else:
            yield Architecture(name, "refused", "it hands its selected experts to no module that can be hooked")
