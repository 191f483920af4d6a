"""The recorder behind signatures: counts of selections for each prompt, phase, layer and expert."""

import numpy as np
from numpy.typing import NDArray

from moexray.routing import RoutedSequence, RouterLayout


class CountsRecorder:
    """Adds up routed sequences, in whatever order they come, into the arrays of a Signatures.

    Attributes
    ----------
    counts
        uint32 ``(prompts, 2, layers, experts)``.
    tokens
        int32 ``(prompts, 2)``.
    """

    def __init__(self, layout: RouterLayout, prompts: int) -> None:
        self._layers = len(layout.layers)
        self._experts = max(layout.experts)
        self.counts = np.zeros((prompts, 2, self._layers, self._experts), dtype=np.uint32)
        self.tokens = np.zeros((prompts, 2), dtype=np.int32)

    def add(self, sequence: RoutedSequence) -> None:
        """Count one sequence; each token once, in its phase."""
        phases = (sequence.experts[: sequence.prompt_length], sequence.experts[sequence.prompt_length :])
        for phase, experts in enumerate(phases):
            self.counts[sequence.prompt, phase] += self._count(experts)
            self.tokens[sequence.prompt, phase] += len(experts)

    def _count(self, experts: NDArray[np.int16]) -> NDArray[np.uint32]:
        """Return how often each layer selected each expert; −1 is no selection."""
        places = experts.astype(np.int64) + self._experts * np.arange(self._layers)[:, None]
        found = np.bincount(places[experts >= 0], minlength=self._layers * self._experts)
        return found.reshape(self._layers, self._experts).astype(np.uint32)
