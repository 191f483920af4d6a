"""The recorded routing of a prompt beside the model's own, token by token and layer by layer.

A tie is *carried*: the model goes on with the recorded experts, so that what follows is judged by itself. Whatever is
more than a tie is not: the model keeps its own choice, so that a wrong row makes no other row look wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.checks.recording import Recording
from moexray.checks.ties import gaps, group_gaps

EQUAL, TIE, DIFFERENT, UNKNOWN = 0, 1, 2, 3


@dataclass(frozen=True)
class Compared:
    """One prompt, compared.

    Attributes
    ----------
    recording
        What was recorded.
    own
        What the model selects, where ties before it are carried ``(tokens, layers, k)``.
    states
        `EQUAL`, `TIE`, `DIFFERENT` or, where nothing was recorded, `UNKNOWN` ``(tokens, layers)``.
    gaps
        Of rows that are not equal, as a share of the spread of their scores; ∞ where no near tie can explain them, NaN
        where scores are not to be had ``(tokens, layers)``.
    has_scores
        Whether the scores of all layers were to be had, so that ties can be told.
    """

    recording: Recording
    own: NDArray[np.int64]
    states: NDArray[np.int8]
    gaps: NDArray[np.float64]
    has_scores: bool

    @property
    def is_true(self) -> bool:
        """Whether no row differs by more than a tie."""
        return not (self.states == DIFFERENT).any()


class TieChooser:
    """Lets a model go on with the recorded experts where they are a near tie of its own.

    Parameters
    ----------
    recording
        What was recorded.
    top_k
        Experts that each layer selects.
    experts
        Experts of each layer.
    limit
        The greatest gap of a tie; None for none, and then nothing is carried.
    kept
        How many of a layer's experts were recorded, where that is fewer than k: those of the greatest scores. Then
        nothing is carried either.
    """

    def __init__(
        self,
        recording: Recording,
        top_k: Sequence[int],
        experts: Sequence[int],
        *,
        limit: float | None,
        kept: Sequence[int] | None = None,
    ) -> None:
        self._recording, self._top_k, self._experts = recording, tuple(top_k), tuple(experts)
        self._kept = self._top_k if kept is None else tuple(kept)
        self.limit = -1.0 if limit is None else limit
        shape = recording.experts.shape
        self.own = np.full(shape, -1, dtype=np.int64)
        self.gaps = np.full(shape[:2], np.nan)
        self.asked = np.zeros(shape[1], dtype=bool)
        # Layers of which fewer experts were recorded.
        self.is_partial = np.array([one < k for one, k in zip(self._kept, self._top_k, strict=True)])
        self._of_groups = np.full(shape[:2], np.nan)

    def experts(
        self, place: int, scores: NDArray[np.float32], own: NDArray[np.integer]
    ) -> NDArray[np.integer]:  # (tokens, k)
        """Return the recorded experts where they are a near tie, elsewhere the router's."""
        k, kept = self._top_k[place], self._kept[place]
        recorded = self._recording.experts[:, place, :kept]
        order = np.argsort(-np.take_along_axis(scores, own, axis=1), axis=1, kind="stable")
        ranked = np.take_along_axis(own, order, axis=1)
        found = np.fmax(gaps(scores, ranked[:, :kept], recorded), self._of_groups[:, place])
        found[~self._recording.known[:, place]] = np.nan
        self.own[:, place, :k], self.gaps[:, place], self.asked[place] = ranked, found, True
        return own if kept < k else np.where((found <= self.limit)[:, None], recorded, own)

    def groups(
        self, place: int, scores: NDArray[np.float32], own: NDArray[np.integer]
    ) -> NDArray[np.integer]:  # (tokens, selected)
        """Return the groups of the recorded experts where they are a near tie, elsewhere the router's."""
        recorded = self._recording.experts[:, place, : self._kept[place]]
        found, needed = group_gaps(scores, own, recorded, experts=self._experts[place])
        found[~self._recording.known[:, place]] = np.nan
        near = (found <= self.limit) & (self._kept[place] == self._top_k[place])
        self._of_groups[:, place] = np.where(near, found, np.nan)
        return np.where(near[:, None], needed, np.sort(own, axis=1)) if near.any() else own


def compared(recording: Recording, ran: NDArray[np.integer], chooser: TieChooser) -> Compared:
    """Return a prompt's comparison.

    Parameters
    ----------
    recording
        What was recorded.
    ran
        The experts that computed, with ties carried ``(tokens, layers, k)``.
    chooser
        What saw the scores while they did.
    """
    has_scores = bool(chooser.asked.all())
    if has_scores:
        carried = chooser.is_partial | same_sets(ran, recording.experts)
        near = (chooser.gaps <= chooser.limit) & carried
        states = np.where(np.isnan(chooser.gaps), EQUAL, np.where(near, TIE, DIFFERENT)).astype(np.int8)
        # What reaches the experts decides, where a model changes what its router took.
        states[(states == EQUAL) & ~carried] = DIFFERENT
    else:
        states = np.where(same_sets(ran, recording.experts), EQUAL, DIFFERENT).astype(np.int8)
    states[~recording.known] = UNKNOWN
    own = chooser.own if has_scores else ran.astype(np.int64)
    return Compared(recording, own, states, chooser.gaps, has_scores)


def same_sets(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.bool_]:  # (tokens, layers)
    """Return where two selections ``(tokens, layers, k)`` hold the same experts, in whatever order."""
    found: NDArray[np.bool_] = (np.sort(one, axis=2) == np.sort(other, axis=2)).all(axis=2)
    return found
