"""Outputs that are given: one pass over prompt and output together records what decoding would have, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from moexray.engines.transformers.chat_templates import cause_of
from moexray.errors import CaptureError
from moexray.prompts import Prompt

TokenIds = NDArray[np.int32]


@dataclass(frozen=True)
class Completion:
    """A given output.

    Attributes
    ----------
    text
        The output as it was given; of token ids, their text without special tokens.
    ran
        Its tokens that pass the routers.
    token_ids
        All of its tokens.
    """

    text: str
    ran: TokenIds
    token_ids: TokenIds


class CompletionTokens:
    """Tokenizes given outputs by themselves, so that the tokens of their prompts stay what they are.

    Every token of a text passes the routers, as where the model wrote its end token after it. Of token ids the last
    does not, as in decoding.

    Parameters
    ----------
    embeddings
        How many token ids the model has embeddings of; None if that is not known.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, embeddings: int | None = None) -> None:
        self._tokenizer = tokenizer
        self._embeddings = embeddings

    def of(self, prompt: Prompt) -> Completion:
        """Return the completion of a prompt whose output is given.

        Raises
        ------
        CaptureError
            If the tokenizer fails with it, or a token has no embedding.
        """
        given = prompt.output
        try:
            if isinstance(given, str):
                text = given
                ran = token_ids = self._tokenizer(given, add_special_tokens=False)["input_ids"] if given else []
            else:
                token_ids = list(given or ())
                text, ran = self._text(token_ids), token_ids[:-1]
        except Exception as error:  # a tokenizer is a checkpoint's own, and may raise anything
            message = f"the output of prompt {prompt.id!r} cannot be read by this model's tokenizer: {cause_of(error)}"
            raise CaptureError(message) from error
        self._check(prompt, token_ids)
        return Completion(text, np.asarray(ran, dtype=np.int32), np.asarray(token_ids, dtype=np.int32))

    def lengths(self, prompts: Sequence[Prompt]) -> NDArray[np.int32]:  # (prompts,)
        """Return how many tokens of each output pass the routers."""
        return np.array([len(self.of(prompt).ran) for prompt in prompts], dtype=np.int32)

    def _text(self, token_ids: Sequence[int]) -> str:
        """Return the text of token ids that exist; others are refused later."""
        return str(self._tokenizer.decode([one for one in token_ids if self._exists(one)], skip_special_tokens=True))

    def _exists(self, token: int) -> bool:
        return token >= 0 and (self._embeddings is None or token < self._embeddings)

    def _check(self, prompt: Prompt, token_ids: Sequence[int]) -> None:
        wrong = [one for one in token_ids if not self._exists(one)]
        if wrong:
            message = (
                f"the output of prompt {prompt.id!r} holds token {wrong[0]}, but the model has embeddings of "
                f"{self._embeddings} tokens: take the tokenizer that wrote it"
            )
            raise CaptureError(message)


def are_given(prompts: Sequence[Prompt]) -> bool:
    """Whether the outputs of prompts are given.

    Raises
    ------
    CaptureError
        If they are of some only.
    """
    without = next((prompt for prompt in prompts if prompt.output is None), None)
    if without is not None and any(prompt.output is not None for prompt in prompts):
        message = f"prompt {without.id!r} comes without its output: give the outputs of all prompts, or of none"
        raise CaptureError(message)
    return without is None
