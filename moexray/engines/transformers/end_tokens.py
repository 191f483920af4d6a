"""The tokens that end a text, as a model's generation settings name them."""

from contextlib import suppress
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

from moexray.engines.transformers.checkpoint_code import explained_code
from moexray.errors import ModelError


def end_tokens_of(model: PreTrainedModel, embeddings: int | None) -> frozenset[int]:
    """Return the tokens at which `generate` ends a text; those that do not exist can never be written.

    The tokenizer has an end token as well, which `generate` does not look at.

    Parameters
    ----------
    embeddings
        How many token ids the model has embeddings of; None if that is not known.

    Raises
    ------
    ModelError
        If the settings name something that is no token id.
    """
    return end_tokens_in(model.generation_config, embeddings)


def end_tokens_in(settings: GenerationConfig, embeddings: int | None) -> frozenset[int]:
    """Return the tokens at which generation settings end a text: see `end_tokens_of`."""
    found = settings.eos_token_id
    named = found if isinstance(found, (list, tuple)) else [] if found is None else [found]
    tokens = {_token_id(one) for one in named}
    return frozenset(token for token in tokens if token >= 0 and (embeddings is None or token < embeddings))


def generation_settings(source: str, revision: str | None) -> GenerationConfig | None:
    """Return a checkpoint's generation settings as transformers reads them; None where it has none.

    Raises
    ------
    CheckpointCodeError
        If a value is of no use.
    """
    with explained_code("reading its generation settings"), suppress(OSError):  # it may have none
        found: GenerationConfig = GenerationConfig.from_pretrained(source, revision=revision)
        return found
    return None


def embeddings_of(model: PreTrainedModel) -> int | None:
    """Return how many token ids a model has embeddings of; None where its embeddings cannot be found."""
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        return None
    return None if weight is None else int(weight.shape[0])


def _token_id(value: Any) -> int:
    """Return a token id, which some checkpoints write as a text or with a decimal point."""
    try:
        token = int(value)
        is_one = token == float(value) and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        is_one = False
    if not is_one:
        message = f"the model's generation settings end texts at `eos_token_id` {value!r}: that is no token id"
        raise ModelError(message)
    return token
