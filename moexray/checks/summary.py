"""Rows that were compared, added up by layer, phase and prompt, and the first that differ."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.checks.comparing import DIFFERENT, EQUAL, TIE, UNKNOWN, Compared
from moexray.checks.recording import PHASES
from moexray.checks.result import Comparison, LayerRows, Place, PromptRows, Ties

# Layers whose first row that differs is shown.
_FIRST_LAYERS = 4


def summarised(
    found: Sequence[Compared],
    layers: Sequence[int],
    kept: Sequence[int],
    *,
    limit: float | None,
    text_of: Callable[[int], str],
) -> Comparison:
    """Return the comparison of some prompts.

    Parameters
    ----------
    found
        The prompts.
    layers, kept
        Index of each layer of the model, and how many experts were recorded of it.
    limit
        The greatest gap of a tie; None where scores are not to be had.
    text_of
        Returns the text of a token id.
    """
    by_layer = []
    for phase, name in enumerate(PHASES):
        states = [one.states[one.recording.phases == phase] for one in found]
        for place, layer in enumerate(layers):
            rows, equal, ties, different = _numbers([rows[:, place] for rows in states])
            if rows:
                by_layer.append(LayerRows(layer, name, rows, equal, ties, different))
    by_prompt = [PromptRows(one.recording.name, len(one.recording), *_numbers([one.states.ravel()])) for one in found]
    gaps = np.concatenate([one.gaps[one.states == TIE] for one in found]) if found else np.zeros(0)
    has_scores = limit is not None and all(one.has_scores for one in found)
    tie = None
    if has_scores and limit is not None:
        held = (float(np.median(gaps)), float(gaps.max())) if len(gaps) else (None, None)
        tie = Ties(limit, *held)
    totals = _numbers([one.states.ravel() for one in found])
    return Comparison(*totals, tie, _first(found, layers, kept, text_of), tuple(by_layer), tuple(by_prompt))


def _numbers(states: Sequence[NDArray[np.int8]]) -> tuple[int, int, int, int]:
    """Return how many rows were compared, and how many are equal, ties and different."""
    together = np.concatenate(states) if states else np.zeros(0, dtype=np.int8)
    of = [int((together == state).sum()) for state in (EQUAL, TIE, DIFFERENT)]
    return int((together != UNKNOWN).sum()), of[0], of[1], of[2]


def _first(
    found: Sequence[Compared], layers: Sequence[int], kept: Sequence[int], text_of: Callable[[int], str]
) -> tuple[Place, ...]:
    """Return the first row that differs of each of the first layers in which one does."""
    places = []
    for place, layer in enumerate(layers):
        differing = ((one, int(np.argmax(one.states[:, place] == DIFFERENT))) for one in found)
        row = next(((one, token) for one, token in differing if one.states[token, place] == DIFFERENT), None)
        if row is None:
            continue
        one, token = row
        gap = float(one.gaps[token, place])
        own = [expert for expert in one.own[token, place].tolist() if expert >= 0]
        places.append(
            Place(
                prompt=one.recording.name,
                token=token,
                text=text_of(int(one.recording.token_ids[token])),
                phase=PHASES[one.recording.phases[token]],
                layer=layer,
                recorded=tuple(one.recording.experts[token, place, : kept[place]].tolist()),
                true=tuple(own),
                gap=gap if np.isfinite(gap) else None,
            )
        )
        if len(places) == _FIRST_LAYERS:
            break
    return tuple(places)
