"""Sampling in which every prompt has a random stream of its own, so that its batch does not change what it draws."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor

from moexray.generation import Generation


def random_stream(seed: int, prompt_id: str) -> Generator:
    """Return the random numbers of a prompt: those of another id have nothing to do with them."""
    return np.random.default_rng([seed, int.from_bytes(blake2b(prompt_id.encode(), digest_size=16).digest())])


class _Noise:
    """The random numbers of a prompt, one set for each slot of its text."""

    def __init__(self, stream: Generator) -> None:
        self._stream = stream
        self._slot = -1
        self._last: NDArray[np.float64] = np.empty(0)

    def at(self, slot: int, tokens: int) -> NDArray[np.float64]:  # (tokens,)
        """Return the numbers of a slot; of the last slot they can be had again, as a pass may be undone."""
        if slot != self._slot:
            self._slot, self._last = slot, self._stream.standard_exponential(tokens)
        return self._last


class DrawByPrompt(LogitsProcessor):  # type: ignore[misc]  # transformers publishes no types
    """Draws the next token of every sequence from that sequence's own random stream.

    Every token v of the vocabulary gets a number E_v from the exponential distribution, and the token with the greatest
    log p_v − log E_v is drawn: −log E_v is Gumbel noise, so v is drawn with probability p_v (E. Gumbel, *Statistical
    Theory of Extreme Values*, 1954). The numbers depend on the seed, the prompt's id and
    the position only. Logits that differ by rounding, as in another batch, change the drawn token only where two tokens
    come that close.

    All logits but the drawn token's become −∞, and greedy decoding takes the one that is left.
    """

    def __init__(self, generation: Generation, prompt_ids: Sequence[str]) -> None:
        self._generation = generation
        self._noise = [_Noise(random_stream(generation.seed, name)) for name in prompt_ids]

    def of(self, rows: NDArray[np.integer]) -> "DrawByPrompt":
        """Return what draws for these sequences only, from the same streams."""
        found = DrawByPrompt(self._generation, [])
        found._noise = [self._noise[row] for row in rows.tolist()]
        return found

    def __call__(self, token_ids: Tensor, logits: Tensor) -> Tensor:
        """Return logits that are −∞ for all but the drawn token of each row: ``(sequences, vocabulary)``."""
        logits_of_most = logits.amax(dim=1, keepdim=True)  # taken off first, or a small temperature leaves no number
        scaled = ((logits.double() - logits_of_most) / self._generation.temperature).log_softmax(dim=1)
        if self._generation.top_p < 1:
            scaled = self._likeliest(scaled)
        noise = np.stack([one.at(token_ids.shape[1], logits.shape[1]) for one in self._noise])
        drawn = (scaled - torch.from_numpy(noise).to(logits.device).log()).argmax(dim=1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(1, drawn, 0.0)

    def _likeliest(self, scaled: Tensor) -> Tensor:
        """Leave the smallest set of most probable tokens whose probabilities add up to `top_p`; −∞ for the others."""
        likeliest, tokens = scaled.exp().sort(descending=True, stable=True)
        beyond = likeliest.cumsum(dim=1) - likeliest >= self._generation.top_p
        return scaled.masked_fill(beyond.scatter(1, tokens, beyond), -torch.inf)


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
