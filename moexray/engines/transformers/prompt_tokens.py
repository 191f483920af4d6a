"""Token ids of prompts: within the chat template where there is one, each prompt tokenized once."""

from collections.abc import Sequence

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from moexray.errors import CaptureError
from moexray.prompts import Prompt

_TOGETHER = 1000
# Tokens that `lengths` keeps for `take`, 64 MB: those of a million prompts would fill memory.
_MOST_KEPT = 2**24


class PromptTokens:
    """Tokenizes prompts, and keeps token ids between the planning of batches and their run.

    Attributes
    ----------
    templated
        Whether prompts are put into the tokenizer's chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, raw: bool) -> None:
        self._tokenizer = tokenizer
        self.templated = not raw and getattr(tokenizer, "chat_template", None) is not None
        self._kept: dict[Prompt, NDArray[np.int32]] = {}

    def tokenize(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the token ids of each prompt.

        Raises
        ------
        CaptureError
            If a prompt gives no token at all, or is a chat that no template takes.
        """
        token_ids: list[list[int]]
        if self.templated:
            token_ids = [self._in_template(prompt) for prompt in prompts]
        else:
            token_ids = self._tokenizer([_plain(prompt) for prompt in prompts])["input_ids"]
        for prompt, ids in zip(prompts, token_ids, strict=True):
            if not ids:
                message = f"prompt {prompt.id!r} gives no token with this model's tokenizer: take it out"
                raise CaptureError(message)
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

    def _in_template(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt or chat in the template; the model's turn is opened unless it came last."""
        chat = list(prompt.messages or [{"role": "user", "content": prompt.text}])
        try:
            encoded = self._tokenizer.apply_chat_template(
                chat, add_generation_prompt=chat[-1]["role"] != "assistant", tokenize=True, return_dict=True
            )
        except TemplateError as error:
            message = f"prompt {prompt.id!r} does not suit this model's chat template: {error}"
            raise CaptureError(message) from error
        token_ids: list[int] = encoded["input_ids"]
        return token_ids


def _plain(prompt: Prompt) -> str:
    if prompt.messages is not None:
        message = (
            f"prompt {prompt.id!r} is a chat, and no chat template is applied: leave out `raw=True`, "
            "or choose a model whose tokenizer has a template"
        )
        raise CaptureError(message)
    return prompt.text
