"""The segments that placements are scored on apart, where the tokens under study are of several kinds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures


@dataclass(frozen=True)
class TokenParts:
    """Parts of the tokens under study.

    Attributes
    ----------
    names
        A selector of each part: a segment, or all tokens under study where these are of one kind.
    of_segment
        The part of each segment of the signatures, −1 for one that is not studied or holds no token ``(segments,)``.
    kinds
        The kinds of tokens, text first; none where they are of one kind.
    kind_of
        The kind of each part ``(parts,)``.
    """

    names: tuple[str, ...]
    of_segment: NDArray[np.int64]
    kinds: tuple[str, ...]
    kind_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    @staticmethod
    def of(signatures: Signatures, tokens: str) -> "TokenParts":
        """Return the segments of the tokens under study as parts, or one part where these are of one kind."""
        segments = signatures.segments
        of_segment = np.full(len(segments), -1)
        chosen = [place for place in signatures.places(tokens) if signatures.tokens[:, place].any()]
        kinds = sorted(dict.fromkeys(segments[place].kind for place in chosen), key=lambda kind: kind != "text")
        if len(kinds) < 2:
            of_segment[list(signatures.places(tokens))] = 0
            return TokenParts((tokens,), of_segment, (), np.zeros(1, dtype=np.int64))
        of_segment[chosen] = np.arange(len(chosen))
        kind_of = np.array([kinds.index(segments[place].kind) for place in chosen])
        return TokenParts(tuple(str(segments[place]) for place in chosen), of_segment, tuple(kinds), kind_of)
