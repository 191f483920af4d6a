"""How often each expert was selected: what signatures are made of."""

import numpy as np
from numpy.typing import NDArray

from moexray.routing import RoutedSequence, RouterLayout


def count_selections(sequence: RoutedSequence, layout: RouterLayout) -> NDArray[np.uint32]:  # (2, layers, experts)
    """Count one sequence's selections by phase (prompt, generated), layer and expert; each token once, in its phase."""
    layers, experts = len(layout.layers), max(layout.experts)
    phases = (sequence.experts[: sequence.prompt_length], sequence.experts[sequence.prompt_length :])
    return np.stack([_count(phase, layers, experts) for phase in phases])


def _count(selected: NDArray[np.int16], layers: int, experts: int) -> NDArray[np.uint32]:
    """Return how often each layer selected each expert; −1 is no selection."""
    places = selected.astype(np.int64) + experts * np.arange(layers)[:, None]
    found = np.bincount(places[selected >= 0], minlength=layers * experts)
    return found.reshape(layers, experts).astype(np.uint32)
