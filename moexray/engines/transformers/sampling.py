"""How a prompt goes on: greedily, or drawn from a stream of its own that no other prompt of its batch can change."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from moexray.errors import CaptureError


@dataclass(frozen=True)
class Generation:
    """What is generated after each prompt.

    Attributes
    ----------
    max_new_tokens
        The most tokens to generate; 0 runs the prompt alone.
    stop_at_eos
        End where the model writes its end token. Otherwise that is a token like any other.
    temperature
        0 takes the likeliest token; above it, tokens are drawn from softmax(logits / temperature).
    top_p
        Draw from the fewest likeliest tokens whose probabilities add up to it.
    seed
        Of the draws.

    Raises
    ------
    CaptureError
        If a value cannot be used.
    """

    max_new_tokens: int = 32
    stop_at_eos: bool = True
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        problem = None
        if self.max_new_tokens < 0:
            problem = f"max_new_tokens is {self.max_new_tokens}: it must be at least 0"
        elif not 0 <= self.temperature < float("inf"):
            problem = f"temperature is {self.temperature}: it must be at least 0"
        elif not 0 < self.top_p <= 1:
            problem = f"top_p is {self.top_p}: it must be above 0 and at most 1"
        elif self.seed < 0:
            problem = f"seed is {self.seed}: it must be at least 0"
        if problem:
            raise CaptureError(problem)


class DrawByPrompt(LogitsProcessor):  # type: ignore[misc]  # transformers publishes no types
    """Draws every sequence's next token from that sequence's own random stream.

    One uniform number a token decides, by the inverse of the cumulative distribution; so what a prompt draws
    depends on the seed, its id and how far it is, and on nothing else in the batch. Whatever is not drawn gets
    −∞, and greedy decoding takes what is left.
    """

    def __init__(self, generation: Generation, prompt_ids: Sequence[str]) -> None:
        self._generation = generation
        self._streams = [np.random.default_rng([generation.seed, crc32(name.encode())]) for name in prompt_ids]

    def __call__(self, _token_ids: Tensor, logits: Tensor) -> Tensor:
        """Return logits of which all but the drawn token of each row are −∞: ``(sequences, vocabulary)``."""
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
