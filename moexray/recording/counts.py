"""How often each expert was selected, and with which gate weights: what signatures are made of."""

import numpy as np
from numpy.typing import NDArray

from moexray.routing import RoutedSequence, RouterLayout


def count_selections(sequence: RoutedSequence, layout: RouterLayout) -> NDArray[np.uint32]:  # (2, layers, experts)
    """Count one sequence's selections by phase (prompt, generated), layer and expert; each token once, in its phase."""
    return np.stack([_summed(sequence.experts[phase], None, layout) for phase in _phases(sequence)]).astype(np.uint32)


def sum_gate_weights(sequence: RoutedSequence, layout: RouterLayout) -> NDArray[np.float32]:  # (2, layers, experts)
    """Sum the gate weights of one sequence's selections by phase, layer and expert.

    Raises
    ------
    ValueError
        If no gate weights were heard.
    """
    experts, weights = sequence.experts, sequence.gate_weights
    if weights is None:
        message = "no gate weights were heard"
        raise ValueError(message)
    summed = [_summed(experts[phase], weights[phase], layout) for phase in _phases(sequence)]
    return np.stack(summed).astype(np.float32)


def _phases(sequence: RoutedSequence) -> tuple[slice, slice]:
    return slice(sequence.prompt_length), slice(sequence.prompt_length, None)


def _summed(
    selected: NDArray[np.int16], weights: NDArray[np.float16] | None, layout: RouterLayout
) -> NDArray[np.generic]:  # (layers, experts)
    """Return how often each layer selected each expert, or the sum of its weights; −1 is no selection."""
    layers, experts = len(layout.layers), max(layout.experts)
    places = selected.astype(np.int64) + experts * np.arange(layers)[:, None]
    there = selected >= 0
    found = np.bincount(places[there], None if weights is None else weights[there], minlength=layers * experts)
    return found.reshape(layers, experts)
