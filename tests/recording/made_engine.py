"""An engine without a model: it routes a token by its letter, batches as it is told, and stops where it is told."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Batching, Engine
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout, plain_segments

LAYERS, EXPERTS, K = 2, 5, 2


class MadeEngine(Engine):
    """Yields the longest prompts last; raises KeyboardInterrupt after `stop_after` sequences, where that is given."""

    def __init__(
        self, batching: Batching = "own", *, capabilities: Collection[str] = ("weights",), stop_after: int | None = None
    ) -> None:
        self.layout = RouterLayout(layers=(0, 1), experts=(EXPERTS,) * LAYERS, top_k=(K,) * LAYERS)
        self.description: Mapping[str, Any] = {"model": "letters", "engine": "made"}
        self.batching: Batching = batching
        self.capabilities = frozenset(capabilities)
        self.ran: list[list[str]] = []
        self._left = stop_after

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:
        return np.array([len(prompt.text) for prompt in prompts], dtype=np.int32)

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, RoutedSequence]]:
        self.ran.append([prompt.id for prompt in prompts])
        for place in sorted(range(len(prompts)), key=lambda place: len(prompts[place].text)):
            if self._left is not None:
                if self._left == 0:
                    raise KeyboardInterrupt
                self._left -= 1
            if on_tokens is not None:
                on_tokens(len(prompts[place].text))
            yield place, routed(prompts[place], generation, weights="weights" in want)

    def text_of(self, token_id: int) -> str:
        return chr(token_id)

    def close(self) -> None:
        """Do nothing: there is no model."""


def routed(prompt: Prompt, generation: Generation, *, weights: bool) -> RoutedSequence:
    """Write ``a`` after each prompt, once after an ``h``; a token's experts in each layer are two beside each other."""
    written = "a" * (min(1, generation.max_new_tokens) if prompt.text.endswith("h") else generation.max_new_tokens)
    token_ids = np.array([ord(letter) for letter in prompt.text + written[:-1]], dtype=np.int32)
    first = (token_ids[:, None] + np.arange(LAYERS)) % EXPERTS
    experts = np.stack([first, (first + 1) % EXPERTS], axis=2).astype(np.int16)
    return RoutedSequence(
        token_ids=token_ids,
        segments=plain_segments(len(prompt.text), len(token_ids) - len(prompt.text)),
        experts=experts,
        output=written,
        gate_weights=np.full(experts.shape, 0.5, dtype=np.float16) if weights else None,
    )
