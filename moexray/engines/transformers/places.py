"""Which token of which prompt each row is that reaches a layer's experts, and the kind of that token."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ModelError
from moexray.segments import PLAIN, Segment

# The kind of padding: no token's.
NO_KIND = -1


@dataclass
class Places:
    """Which prompts and positions the rows of a forward pass are: left-padded prompts, then what they generate.

    Attributes
    ----------
    segments
        The segments of the engine's layout.
    keys
        A number for each prompt of the batch, from its id ``(prompts,)``.
    paddings
        Slots before the first token of each.
    given
        Segments of the tokens that were given, for each prompt; none where all are of the first segment.
    rows
        The prompts that run now.
    start
        The slot of the first token of the next stretch.
    """

    segments: tuple[Segment, ...] = PLAIN
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(1, dtype=np.uint64))
    paddings: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    given: Sequence[NDArray[np.int8]] = ()
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    start: int = 0
    stretch: int = 0

    def begin(
        self, prompts: Sequence[str], lengths: Sequence[int], segments: Sequence[NDArray[np.int8]] | None = None
    ) -> None:
        """Take the ids and lengths of a batch's prompts, and the segment of each of their tokens.

        Without segments, all tokens of the prompts are of the first segment of the layout. Tokens after those that
        have one are generated.
        """
        digests = [hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest() for one in prompts]
        self.keys = np.array([int.from_bytes(one[:8], "little") for one in digests], dtype=np.uint64)
        self.paddings = max(lengths) - np.asarray(lengths, dtype=np.int64)
        self.given = () if segments is None else list(segments)
        self.start = 0
        self.run(np.arange(len(prompts)))

    def run(self, rows: NDArray[np.int64]) -> None:
        """Take which prompts go on."""
        self.rows = rows
        self.stretch += 1

    def passed(self, slots: int) -> None:
        """Take how many slots have passed the model."""
        self.start = slots

    def kinds(self) -> list[str]:
        """Return the kinds of tokens that there may be, each once."""
        return list(dict.fromkeys(one.kind for one in self.segments))

    def kinds_at(
        self, positions: NDArray[np.int64], prompts: NDArray[np.int64]
    ) -> NDArray[np.int8]:  # (prompts, tokens)
        """Return the place among `kinds` of the kind of each token; `NO_KIND` for padding.

        Parameters
        ----------
        positions
            Of tokens in each of these prompts, below 0 for padding ``(prompts, tokens)``.
        prompts
            Places of the prompts in the batch ``(prompts,)``.
        """
        kinds = self.kinds()
        of_segment = np.array([kinds.index(one.kind) for one in self.segments], dtype=np.int8)
        written = next((place for place, one in enumerate(self.segments) if one.phase != "prompt"), 0)
        found = np.full(positions.shape, of_segment[written if len(self.given) else 0], dtype=np.int8)
        for row, prompt in enumerate(prompts if len(self.given) else ()):
            segments = self.given[prompt]
            there = (positions[row] >= 0) & (positions[row] < len(segments))
            found[row, there] = of_segment[segments[positions[row, there]]]
        found[positions < 0] = NO_KIND
        return found

    def of_kind(self, kind: str, slots: int) -> NDArray[np.bool_]:  # (prompts, slots)
        """Return which slots of the batch hold a token of a kind."""
        positions = np.arange(slots) - self.paddings[:, None]
        found = self.kinds_at(positions, np.arange(len(self.paddings)))
        return np.equal(found, self.kinds().index(kind))


class Cursor:
    """Follows the rows that reach one module, from one call to the next.

    Parameters
    ----------
    places
        Which prompts and positions run.
    path, calls
        What the module is called in the model, and how often it runs in one forward pass.
    """

    def __init__(self, places: Places, path: str, calls: int) -> None:
        self._places, self._path, self._calls = places, path, calls
        self._slot, self._stretch, self._call = 0, -1, 0

    def next(self, rows: int) -> tuple[NDArray[np.int64], int]:
        """Return the position in its prompt of each row of the next call, and which call of its pass that is.

        Parameters
        ----------
        rows
            How many rows come: the tokens of one prompt, then those of the next.

        Returns
        -------
        positions
            Below 0 for padding ``(prompts that run, tokens)``.
        call
            From 0.

        Raises
        ------
        ModelError
            If the prompts do not have as many rows each.
        """
        places = self._places
        if self._stretch != places.stretch:
            self._slot, self._stretch, self._call = places.start, places.stretch, 0
        tokens, left = divmod(rows, len(places.rows))
        if left:
            message = f"{self._path}: {rows} rows came for {len(places.rows)} prompts: none belongs to a known token"
            raise ModelError(message)
        positions = self._slot + np.arange(tokens) - places.paddings[places.rows][:, None]
        call = self._call
        self._call = (call + 1) % self._calls
        self._slot += tokens if self._call == 0 else 0
        return positions, call

    def kinds(self, rows: int) -> NDArray[np.int8]:  # (rows,)
        """Return the kind of each row of the next call, as `Places.kinds_at` does; see `next`."""
        positions, _ = self.next(rows)
        return self._places.kinds_at(positions, self._places.rows).ravel()
