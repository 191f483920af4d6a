"""Token ids of prompts: within the chat template where there is one, each prompt tokenized once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from moexray.engines.transformers.chat_templates import ChatTemplate, cause_of, has_format
from moexray.errors import CaptureError
from moexray.prompts import Prompt

_TOGETHER = 1000
# Tokens that `lengths` keeps for `take`, 64 MB: those of a million prompts would fill memory.
_MOST_KEPT = 2**24


class PromptTokens:
    """Tokenizes prompts, and keeps token ids between the planning of batches and their run.

    Parameters
    ----------
    raw
        Leave out the tokenizer's chat template.
    chat_template, template_options, system
        See `moexray.engines.transformers.chat_templates.ChatTemplate`.
    embeddings
        How many token ids the model has embeddings of; None if that is not known.
    check
        Refuses a prompt for its tokens.

    Attributes
    ----------
    settings
        How prompts become tokens, for the meta of signatures: JSON values by name.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        raw: bool = False,
        chat_template: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        system: str | None = None,
        embeddings: int | None = None,
        check: Callable[[Prompt, Sequence[int]], None] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._embeddings = embeddings
        self._further_check = check
        self._template: ChatTemplate | None = None
        asked = {"chat_template": chat_template, "template_options": template_options or None, "system": system}
        if not raw and has_format(tokenizer):
            self._template = ChatTemplate(tokenizer, name=chat_template, options=template_options, system=system)
        else:
            _refuse(asked)
        self.settings: Mapping[str, Any] = {
            "chat_template": self._template is not None,
            "chat_template_name": chat_template,
            "template_options": dict(template_options) if template_options else None,
            "system": system,
            "continue_final_message": self._template is not None,
        }
        self._kept: dict[Prompt, NDArray[np.int32]] = {}

    def begin_at(self, moment: datetime) -> str | None:
        """Take the time that a template gets which asks for it; return what it reads, or None where none asks."""
        return None if self._template is None else self._template.begin_at(moment)

    def tokenize(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the token ids of each prompt.

        Raises
        ------
        CaptureError
            If a prompt gives no token at all, is a chat that no template takes, or has a token without an embedding.
        """
        token_ids: list[list[int]]
        if self._template is not None:
            token_ids = [self._template.tokens(prompt) for prompt in prompts]
        else:
            token_ids = self._of_texts(prompts)
        for prompt, ids in zip(prompts, token_ids, strict=True):
            self._check(prompt, ids)
        return token_ids

    def lengths(self, prompts: Sequence[Prompt]) -> NDArray[np.int32]:  # (prompts,)
        """Return the number of tokens of each prompt, and keep the tokens for `take` as far as memory allows."""
        lengths = np.zeros(len(prompts), dtype=np.int32)
        for start in range(0, len(prompts), _TOGETHER):
            some = prompts[start : start + _TOGETHER]
            token_ids = [np.asarray(ids, dtype=np.int32) for ids in self.tokenize(some)]
            lengths[start : start + len(some)] = [len(ids) for ids in token_ids]
            if lengths.sum() <= _MOST_KEPT:
                self._kept.update(zip(some, token_ids, strict=True))
        return lengths

    def take(self, prompts: Sequence[Prompt]) -> list[NDArray[np.int32]]:
        """Return the token ids of each prompt, which are not kept any longer."""
        found = {prompt: self._kept.pop(prompt) for prompt in prompts if prompt in self._kept}
        missing = [prompt for prompt in prompts if prompt not in found]
        if missing:
            found |= {
                prompt: np.asarray(ids, dtype=np.int32)
                for prompt, ids in zip(missing, self.tokenize(missing), strict=True)
            }
        return [found[prompt] for prompt in prompts]

    def _of_texts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the tokens of each prompt without a template; where that fails, one by one, to name the prompt."""
        texts = [_plain(prompt) for prompt in prompts]
        try:
            return self._tokenizer(texts)["input_ids"]  # type: ignore[no-any-return]
        except Exception as error:  # a tokenizer is a checkpoint's own: Rust raises bare exceptions, Python any
            if len(prompts) == 1:
                message = f"prompt {prompts[0].id!r} cannot be read by this model's tokenizer: {cause_of(error)}"
                raise CaptureError(message) from error
            return [ids for prompt in prompts for ids in self._of_texts([prompt])]

    def _check(self, prompt: Prompt, token_ids: Sequence[int]) -> None:
        if not token_ids:
            message = f"prompt {prompt.id!r} gives no token with this model's tokenizer: take it out"
            raise CaptureError(message)
        if self._further_check is not None:
            self._further_check(prompt, token_ids)
        beyond = max(token_ids)
        if self._embeddings is not None and beyond >= self._embeddings:
            message = (
                f"prompt {prompt.id!r} holds token {beyond} ({self._tokenizer.decode([beyond])!r}), but the model has "
                f"embeddings of {self._embeddings} tokens: take the tokenizer that the model was trained with"
            )
            raise CaptureError(message)


def _refuse(asked: Mapping[str, Any]) -> None:
    """Raise CaptureError if an option of the chat template was given where none is applied."""
    for name, value in asked.items():
        if value is not None:
            message = (
                f"`{name}` is given, but no chat template is applied: leave it out, or leave out `raw=True` and "
                "choose a model whose tokenizer has a template"
            )
            raise CaptureError(message)


def _plain(prompt: Prompt) -> str:
    if prompt.messages is not None:
        message = (
            f"prompt {prompt.id!r} is a chat, and no chat template is applied: leave out `raw=True`, "
            "or choose a model whose tokenizer has a template"
        )
        raise CaptureError(message)
    return prompt.text
