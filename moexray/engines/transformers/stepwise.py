"""A known text generated again, alone and by `generate`: what a model selects step by step, with its own cache."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from moexray.engines.transformers.hooks import Tap, input_device, recorded_selections
from moexray.engines.transformers.prompt_inputs import PromptInputs, arguments_of


class _Dictate(LogitsProcessor):  # type: ignore[misc]  # transformers publishes no types
    """Leaves one token at each step: that of a known text."""

    def __init__(self, token_ids: Tensor) -> None:
        self._token_ids = token_ids

    def __call__(self, token_ids: Tensor, logits: Tensor) -> Tensor:
        """Return logits that are −∞ for all but the next token of the text ``(1, vocabulary)``."""
        place = min(token_ids.shape[1], len(self._token_ids) - 1)  # the last token of all is never routed
        return torch.full_like(logits, -torch.inf).index_fill(1, self._token_ids[place], 0.0)


@torch.inference_mode()
def selections_step_by_step(
    model: Any, taps: Sequence[Tap], inputs: PromptInputs, token_ids: NDArray[np.int32]
) -> list[Tensor]:
    """Return the selections of each tap ``(tokens, k)`` as a text is generated after its prompt.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    inputs
        What the model reads of the prompt.
    token_ids
        The prompt's tokens, and what is generated after it ``(tokens,)``.
    """
    tokens = torch.from_numpy(token_ids.astype(np.int64)).to(input_device(model))
    with recorded_selections(taps) as recorded:
        model.generate(
            **arguments_of(inputs, model),
            max_new_tokens=len(token_ids) - len(inputs) + 1,
            eos_token_id=None,
            logits_processor=LogitsProcessorList([_Dictate(tokens)]),
        )
    return [torch.cat(rows) for rows in recorded]
