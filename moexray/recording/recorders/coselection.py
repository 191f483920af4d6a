"""The recorder of co-selection: for each layer, the number of tokens that selected each pair of experts."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.coselection_file import SUFFIX, members_of_pairs
from moexray.recording.recorders.recorder import Recorded, Recorder
from moexray.routing import RoutedSequence, RouterLayout
from moexray.signatures_file import write_members

# Tokens whose pairs are counted together: each time, an array of all pairs of experts is filled.
_TOKENS = 4096


def count_pairs(
    sequences: Iterable[RoutedSequence], layout: RouterLayout
) -> NDArray[np.uint64]:  # (segments, layers, experts, experts)
    """Count the pairs of experts of every token, by segment and layer."""
    experts, segments = max(layout.experts), len(layout.segments)
    pairs = np.zeros((segments, len(layout.layers), experts, experts), dtype=np.uint64)
    waiting: list[list[NDArray[np.int16]]] = [[] for _ in range(segments)]
    for sequence in sequences:
        for segment in range(segments):
            waiting[segment].append(sequence.experts[sequence.segments == segment])
            if sum(map(len, waiting[segment])) >= _TOKENS:
                _add(pairs[segment], np.concatenate(waiting[segment]))
                waiting[segment].clear()
    for segment in range(segments):
        if waiting[segment]:
            _add(pairs[segment], np.concatenate(waiting[segment]))
    return pairs


def _write(path: Path, recorded: Recorded) -> None:
    """Write the file of `moexray.coselection_file`."""
    layers = np.asarray(recorded.layout.layers, dtype=np.int16)
    write_members(path, members_of_pairs(count_pairs(recorded.sequences, recorded.layout), layers))


def _add(pairs: NDArray[np.uint64], selected: NDArray[np.int16]) -> None:
    """Add the pairs of selections ``(tokens, layers, k)``; −1 is no selection."""
    experts = pairs.shape[1]
    for layer, of_layer in enumerate(np.moveaxis(selected.astype(np.int64), 1, 0)):
        first, second = of_layer[:, :, None], of_layer[:, None, :]
        places = (first * experts + second)[(first >= 0) & (second >= 0)]
        pairs[layer] += np.bincount(places, minlength=experts**2).reshape(experts, experts).astype(np.uint64)


COSELECTION = Recorder(SUFFIX, _write)
