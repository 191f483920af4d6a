"""Limits of a text's length: the model's context, and where one pass would not route an output as decoding does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.transformers.configuration import greatest, text_config
from moexray.engines.transformers.sharing import Sharing
from moexray.errors import CaptureError
from moexray.prompts import Prompt


def check_context(
    config: Any, prompts: Sequence[Prompt], lengths: NDArray[np.integer], new_tokens: NDArray[np.integer] | int
) -> None:
    """Refuse a prompt beyond the context: a model still runs there, but its routing says nothing about the prompt.

    Parameters
    ----------
    lengths
        Tokens of each prompt ``(prompts,)``.
    new_tokens
        The most that are generated after each, or those of each one's output ``(prompts,)``.

    Raises
    ------
    CaptureError
        If there is one; the longest is named.
    """
    context = greatest(text_config(config), "max_position_embeddings")
    if context is None or (lengths + new_tokens <= context).all():
        return
    longest = int((lengths + new_tokens).argmax())
    if isinstance(new_tokens, int):
        after, advice = f"{new_tokens} generated ones", "shorten it, or lower `max_new_tokens`"
    else:
        after, advice = f"the {new_tokens[longest]} of its output", "shorten one of them"
    message = (
        f"prompt {prompts[longest].id!r} has {lengths[longest]} tokens: with {after} it exceeds the model's "
        f"context of {context}: {advice}"
    )
    raise CaptureError(message)


def check_as_written(
    sharing: Sharing, prompts: Sequence[Prompt], lengths: NDArray[np.integer], given: NDArray[np.integer]
) -> None:
    """Refuse an output that one pass would route otherwise than decoding, token by token.

    Parameters
    ----------
    lengths, given
        Tokens of each prompt, and of its output ``(prompts,)``.

    Raises
    ------
    CaptureError
        If there is one, which is named.
    """
    crossing = np.zeros(len(prompts), dtype=bool)
    for turn in sharing.turns:
        crossing |= (lengths <= turn) & (lengths + given > turn)
    if sharing.written is not None:
        crossing |= given > sharing.written
    if crossing.any():
        place = int(crossing.argmax())
        message = (
            f"the output of prompt {prompts[place].id!r} is {given[place]} tokens long: this model would route them "
            f"otherwise than as it wrote them, because {sharing.reason}; shorten it, or let the model write"
        )
        raise CaptureError(message)
