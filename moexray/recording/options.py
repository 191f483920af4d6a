"""What a capture may be told besides its prompts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

from moexray.errors import CaptureError
from moexray.generation import Generation

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine

DEFAULT_MODEL = "allenai/OLMoE-1B-7B-0125-Instruct"

_LOADING = ("device", "dtype", "revision", "trust_remote_code")
_GENERATION = ("max_new_tokens", "stop_at_eos", "temperature", "top_p", "seed")


class CaptureOptions(TypedDict, total=False):
    """What `capture` and `capture_to` take besides prompts.

    Attributes
    ----------
    model
        ``scale`` (the embedded model), a local folder or a Hugging Face id; OLMoE-1B-7B by default.
    max_new_tokens
        Tokens to generate after each prompt, 32 by default, fewer where the model ends earlier; 0 for none.
    stop_at_eos
        End a text where the model writes its end token, as by default.
    temperature, top_p, seed
        See `moexray.generation.Generation`; by default the likeliest token is taken.
    batch_tokens
        The most tokens that run together, padding included; by default what memory holds. It changes
        speed and memory, not what is recorded.
    device, dtype, revision, trust_remote_code
        See `moexray.engines.transformers.loading.load_model`.
    raw
        Leave out the tokenizer's chat template.
    weights
        Also sum the gate weights that each expert got: the mass of signatures.
    verify
        First see on a few tokens that what is heard is what decides: `moexray.engines.transformers.verify.verify`.
    on_progress
        Called after each batch with the prompts and the routed tokens done so far.
    """

    model: str
    max_new_tokens: int
    stop_at_eos: bool
    temperature: float
    top_p: float
    seed: int
    batch_tokens: int | None
    device: str | None
    dtype: str | None
    revision: str | None
    raw: bool
    weights: bool
    trust_remote_code: bool
    verify: bool
    on_progress: Callable[[int, int], None] | None


def engine_of(options: CaptureOptions) -> "tuple[TransformersEngine, Generation]":
    """Load the model that the options name, and say how prompts go on.

    Raises
    ------
    CaptureError
        If an option cannot be used; before anything is loaded.
    ModelError
        If the model cannot be loaded or heard.
    """
    from moexray.engines.transformers.engine import TransformersEngine
    from moexray.engines.transformers.loading import load_model

    given: dict[str, Any] = dict(options)
    generation = Generation(**{name: given[name] for name in _GENERATION if name in given})
    budget = given.get("batch_tokens")
    if budget is not None and budget < 1:
        message = f"batch_tokens is {budget}: it must be at least 1"
        raise CaptureError(message)
    loaded = load_model(given.get("model", DEFAULT_MODEL), **{name: given[name] for name in _LOADING if name in given})
    return TransformersEngine(loaded, raw=given.get("raw", False)), generation
