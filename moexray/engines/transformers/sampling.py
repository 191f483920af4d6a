"""Sampling in which every prompt has a random stream of its own, so that its batch does not change what it draws."""

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from moexray.generation import Generation


class DrawByPrompt(LogitsProcessor):  # type: ignore[misc]  # transformers publishes no types
    """Draws the next token of every sequence from that sequence's own random stream.

    One uniform number a token is inverted through the cumulative distribution. So a prompt's draw depends on the
    seed, its id and its position, and on nothing else in the batch. All logits but the drawn token's become −∞, and
    greedy decoding takes the one that is left.
    """

    def __init__(self, generation: Generation, prompt_ids: Sequence[str]) -> None:
        self._generation = generation
        self._streams = [np.random.default_rng([generation.seed, crc32(name.encode())]) for name in prompt_ids]

    def __call__(self, _token_ids: Tensor, logits: Tensor) -> Tensor:
        """Return logits that are −∞ for all but the drawn token of each row: ``(sequences, vocabulary)``."""
        likeliest, tokens = (
            (logits.double() / self._generation.temperature).softmax(dim=1).sort(descending=True, stable=True)
        )
        before = likeliest.cumsum(dim=1) - likeliest
        kept = likeliest * (before < self._generation.top_p)
        reached = kept.cumsum(dim=1)
        uniform = torch.tensor([stream.random() for stream in self._streams], dtype=torch.float64).to(logits.device)
        place = torch.searchsorted(reached, uniform[:, None] * reached[:, -1:], right=True)
        last = (kept > 0).sum(dim=1, keepdim=True) - 1
        drawn = tokens.gather(1, torch.minimum(place, last))
        return torch.full_like(logits, -torch.inf).scatter(1, drawn, 0.0)


class TellTokens(LogitsProcessor):  # type: ignore[misc]  # transformers publishes no types
    """Tells after each forward pass how many tokens went through it; it looks at no tensor, so no device waits."""

    def __init__(self, on_tokens: Callable[[int], None], prompt_tokens: int) -> None:
        self._on_tokens = on_tokens
        self._prompt_tokens: int | None = prompt_tokens

    def __call__(self, _token_ids: Tensor, logits: Tensor) -> Tensor:
        """Return the logits as they are."""
        self._on_tokens(len(logits) if self._prompt_tokens is None else self._prompt_tokens)
        self._prompt_tokens = None
        return logits
