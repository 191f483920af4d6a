"""Reading the tokenizer of a checkpoint."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.import_utils import is_mistral_common_available

from moexray.engines.transformers.chat_templates import has_format
from moexray.engines.transformers.checkpoint_code import explained_code
from moexray.errors import ModelError

_MISTRAL = "its tokenizer, a tekken.json, needs a package that is not installed: pip install mistral-common"


def read_tokenizer(source: str, config: Any, **options: Any) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a folder or a hub model.

    Parameters
    ----------
    config
        The model's configuration, which says what tokenizer to expect.
    options
        ``revision`` and ``trust_remote_code``.

    Raises
    ------
    ModelError
        If there is none: transformers then makes an empty one for some models.
    CheckpointCodeError
        If its files are damaged, or its own code fails.
    """
    try:
        with explained_code("its tokenizer"):
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, config=config, **options)
            is_empty = set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens)
    except ImportError as error:
        if "MistralCommon" not in str(error):
            raise
        raise ModelError(_MISTRAL) from error
    except (ValueError, KeyError) as error:
        is_empty = "instantiate the backend tokenizer" in str(error)
        if "trust_remote_code" in str(error):
            raise
        if not is_empty:
            message = f"its tokenizer could not be read: {str(error).splitlines()[0]}"
            raise ModelError(message) from error
    if is_empty:
        message = (
            "it comes without a tokenizer: put its tokenizer's files (tokenizer.json, tokenizer.model or tekken.json) "
            "beside its config.json"
        )
        raise ModelError(message)
    _check_tekken(tokenizer)
    return tokenizer


def _check_tekken(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse what transformers makes of a tekken.json without mistral-common: words alone, no special token."""
    is_converted = Path(getattr(tokenizer, "vocab_file", None) or "").name == "tekken.json" and not has_format(
        tokenizer
    )
    if is_converted and not is_mistral_common_available():
        raise ModelError(_MISTRAL)
