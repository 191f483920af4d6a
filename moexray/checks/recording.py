"""What is compared: the recorded routing of one prompt, laid out as the model's layers are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PHASES = ("prompt", "generated", "mixed")


@dataclass(frozen=True)
class Recording:
    """The recorded routing of one prompt.

    Attributes
    ----------
    name
        The prompt's id.
    token_ids
        Ids of its tokens that passed the routers ``(tokens,)``.
    phases
        The place of each token's phase in `PHASES` ``(tokens,)``.
    experts
        What was recorded ``(tokens, layers, k)``, −1 for no selection; of a layer with a smaller k, the first ones.
    known
        Which rows were recorded at all ``(tokens, layers)``; others are not compared.
    """

    name: str
    token_ids: NDArray[np.int64]
    phases: NDArray[np.int8]
    experts: NDArray[np.int64]
    known: NDArray[np.bool_]

    def __post_init__(self) -> None:
        tokens = len(self.token_ids)
        shapes = {len(self.experts), *self.phases.shape} == {tokens} and self.known.shape == self.experts.shape[:2]
        if self.experts.ndim != 3 or not shapes:
            message = f"{tokens} tokens do not fit experts of shape {self.experts.shape}"
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.token_ids)

    def between(self, start: int, end: int) -> "Recording":
        """Return the recording of the tokens from `start` to before `end`."""
        some = slice(start, end)
        return Recording(self.name, self.token_ids[some], self.phases[some], self.experts[some], self.known[some])

    @property
    def written(self) -> int:
        """How many tokens, at the end, were generated."""
        others = np.flatnonzero(self.phases != PHASES.index("generated"))
        return len(self) - (int(others[-1]) + 1 if len(others) else 0)


def recording(
    name: str,
    token_ids: NDArray[np.integer],
    phases: NDArray[np.integer],
    experts: NDArray[np.integer],
    known: NDArray[np.bool_] | None = None,
) -> Recording:
    """Return a recording of these arrays; all rows are known by default."""
    rows = np.ones(experts.shape[:2], dtype=bool) if known is None else known
    return Recording(name, token_ids.astype(np.int64), phases.astype(np.int8), experts.astype(np.int64), rows)
