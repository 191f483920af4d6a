"""How often each expert was selected, and with which gate weights: what signatures are made of."""

import numpy as np
from numpy.typing import NDArray

from moexray.routing import RoutedSequence, RouterLayout


def count_selections(
    sequence: RoutedSequence, layout: RouterLayout
) -> NDArray[np.uint32]:  # (segments, layers, experts)
    """Count one sequence's selections by segment, layer and expert; each token once, in its segment."""
    return _summed(sequence, None, layout).astype(np.uint32)


def sum_gate_weights(
    sequence: RoutedSequence, layout: RouterLayout
) -> NDArray[np.float32]:  # (segments, layers, experts)
    """Sum the gate weights of one sequence's selections by segment, layer and expert.

    Raises
    ------
    ValueError
        If no gate weights were recorded.
    """
    if sequence.gate_weights is None:
        message = "no gate weights were recorded"
        raise ValueError(message)
    return _summed(sequence, sequence.gate_weights, layout).astype(np.float32)


def _summed(
    sequence: RoutedSequence, weights: NDArray[np.float16] | None, layout: RouterLayout
) -> NDArray[np.generic]:  # (segments, layers, experts)
    """Return how often each layer selected each expert, or the sum of its weights; −1 is no selection."""
    segments, layers, experts = len(layout.segments), len(layout.layers), max(layout.experts)
    rows = sequence.segments.astype(np.int64)[:, None] * layers + np.arange(layers)  # (tokens, layers)
    places = rows[:, :, None] * experts + sequence.experts
    there = sequence.experts >= 0
    found = np.bincount(
        places[there], None if weights is None else weights[there], minlength=segments * layers * experts
    )
    return found.reshape(segments, layers, experts)
