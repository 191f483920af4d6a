"""Tokens of whole prompts with their experts: what a trace is read as."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.segments import Segment, places


@dataclass(frozen=True)
class RoutedTokens:
    """Tokens of whole prompts, one after the other.

    Attributes
    ----------
    prompts
        The place of each token's prompt among those of the signatures ``(tokens,)``.
    positions, token_ids
        Place in the prompt, from zero, and id ``(tokens,)``.
    segments
        The place of its segment among those of the signatures ``(tokens,)``.
    experts
        What each layer selected for it ``(tokens, layers, k)``, −1 where fewer than k.
    segment_names
        The segments of the signatures.
    scores
        What each router took its top k of, for every expert ``(tokens, layers, experts)``, −∞ for one that it ruled out
        or does not have; None where it was not asked for.
    weights
        Gate weights, float32, shaped as `experts`, 0 where fewer than k; None where they were not asked for.
    """

    prompts: NDArray[np.int64]
    positions: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    experts: NDArray[np.int16]
    segment_names: tuple[Segment, ...]
    scores: NDArray[np.float16] | None = None
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def generated(self) -> NDArray[np.bool_]:  # (tokens,)
        """Which tokens the model wrote."""
        return np.array([one.phase == "generated" for one in self.segment_names])[self.segments]

    def take(self, which: NDArray[Any]) -> "RoutedTokens":
        """Return some of the tokens."""
        return RoutedTokens(
            prompts=self.prompts[which],
            positions=self.positions[which],
            token_ids=self.token_ids[which],
            segments=self.segments[which],
            experts=self.experts[which],
            segment_names=self.segment_names,
            scores=None if self.scores is None else self.scores[which],
            weights=None if self.weights is None else self.weights[which],
        )

    @staticmethod
    def joined(parts: "Sequence[RoutedTokens]") -> "RoutedTokens":
        """Return the tokens of several blocks, one after the other."""
        names = ("prompts", "positions", "token_ids", "segments", "experts")
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        for name in ("scores", "weights"):
            found = [getattr(part, name) for part in parts if getattr(part, name) is not None]
            arrays[name] = np.concatenate(found) if len(found) == len(parts) else None
        return RoutedTokens(**arrays, segment_names=parts[0].segment_names)

    def select(self, tokens: str) -> "RoutedTokens":
        """Return the tokens of the segments that a selector names; see `moexray.segments.places`."""
        chosen = places(tokens, self.segment_names)
        return self if len(chosen) == len(self.segment_names) else self.take(np.isin(self.segments, chosen))
