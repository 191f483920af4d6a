"""The check that no two texts come back with one routing: rows of another request look right by themselves."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from moexray.routing import RoutedSequence

# Texts that differ in fewer tokens may be routed alike: other words of one kind, at the end of one prompt.
_FEWEST_DIFFERENT = 4


class Seen:
    """The routing of texts that were recorded, each as a short digest of its rows and a digest of every token.

    Parameters
    ----------
    most
        How many texts are remembered.
    """

    def __init__(self, most: int = 2**16) -> None:
        self._most = most
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
            if len(self._texts) < self._most:
                self._texts[digest] = prompt, sequence.token_ids
            return None
        other, token_ids = before
        is_longer = len(token_ids) != len(sequence.token_ids)
        differ = is_longer or int((token_ids != sequence.token_ids).sum()) >= _FEWEST_DIFFERENT
        return other if differ else None
