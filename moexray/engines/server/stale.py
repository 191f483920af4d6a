"""The check that no two texts come back with one routing: rows of another request look right by themselves."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from moexray.routing import RoutedSequence

# Texts that differ in fewer tokens may be routed alike: other words of one kind, at the end of one prompt.
_FEWEST_DIFFERENT = 4
# Tokens of the texts that are remembered, 16 MB.
_MOST_TOKENS = 2**22


class Seen:
    """The texts that were recorded last, by a digest of their routing.

    Parameters
    ----------
    most_tokens
        How many tokens they may have together.
    """

    def __init__(self, most_tokens: int = _MOST_TOKENS) -> None:
        self._left = most_tokens
        self._texts: dict[bytes, tuple[str, NDArray[np.int32]]] = {}

    def same_as(self, prompt: str, sequence: RoutedSequence) -> str | None:
        """Return the prompt whose other tokens were routed exactly like these; None where there is none.

        Parameters
        ----------
        prompt
            The prompt's id.
        sequence
            Its tokens and their experts.
        """
        digest = blake2b(sequence.experts.tobytes(), digest_size=16).digest()
        before = self._texts.get(digest)
        if before is None:
            self._remember(digest, prompt, sequence.token_ids)
            return None
        other, token_ids = before  # as many: their rows are the same
        return other if int((token_ids != sequence.token_ids).sum()) >= _FEWEST_DIFFERENT else None

    def _remember(self, digest: bytes, prompt: str, token_ids: NDArray[np.int32]) -> None:
        self._texts[digest] = prompt, token_ids
        self._left -= len(token_ids)
        while self._left < 0:
            oldest = next(iter(self._texts))
            self._left += len(self._texts.pop(oldest)[1])
