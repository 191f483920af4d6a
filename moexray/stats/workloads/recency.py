"""How recently each expert was used before each token: what a cache that drops the least recently used one holds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Recency:
    """The experts of one layer before some tokens ``(rows, experts)``.

    Attributes
    ----------
    ranks
        How many experts were used since the expert was; the number of experts where it never was.
    in_prompt
        Whether it was used before in the same prompt.
    by_previous
        Whether the token before, of the same prompt, used it.
    """

    ranks: NDArray[np.int16] | NDArray[np.int32]
    in_prompt: NDArray[np.bool_]
    by_previous: NDArray[np.bool_]


def recency_of(
    chosen: NDArray[np.integer],
    prompts: NDArray[np.integer],
    rows: NDArray[np.integer],
    before: NDArray[np.int64],
) -> tuple[Recency, NDArray[np.int64]]:
    """Rank the experts of one layer by their last use before each of some tokens.

    Of the experts of one token, the one of most weight counts as the most recent.

    Parameters
    ----------
    chosen
        The experts of each token ``(tokens, k)``, the one of most weight first; negative for no selection.
    prompts
        The prompt of each token ``(tokens,)``.
    rows
        The tokens to rank for.
    before
        The order of last use before the first token ``(experts,)``: zero for never, and the higher the later.

    Returns
    -------
    The ranks, and the order of last use after the last token.
    """
    tokens, k = chosen.shape
    width = len(before)
    start = int(before.max(initial=0)) + 1
    kind: np.dtype[Any] = np.dtype(np.int32 if (start + tokens * k + k) * width * 2 < 2**31 else np.int64)
    # Row t holds what was known before token t; a column more takes the selections that are none.
    last = np.zeros((tokens + 1, width + 1), dtype=kind)
    last[0, :width] = before
    times = (start + np.arange(tokens)[:, None] * k + np.arange(k)[::-1]).astype(kind)
    last[np.arange(1, tokens + 1)[:, None], np.where(chosen < 0, width, chosen)] = times
    used = last[1:, :width] > 0
    np.maximum.accumulate(last, axis=0, out=last)
    first = np.flatnonzero(np.diff(prompts, prepend=-1))
    of_prompt = np.repeat(first, np.diff([*first, tokens]))
    here = last[rows, :width]
    bits = width.bit_length()
    order = np.sort((here << bits) + np.arange(width, dtype=kind), axis=1) & ((1 << bits) - 1)
    ranks = np.empty((len(rows), width), dtype=np.int16 if width < 2**15 - 1 else np.int32)
    ranks[np.arange(len(rows))[:, None], order] = np.arange(width, dtype=ranks.dtype)[::-1]
    ranks[here == 0] = width
    by_previous = used[rows - 1] & (of_prompt[rows] < rows)[:, None]
    in_prompt = here >= (start + of_prompt[rows] * k)[:, None]
    final = last[-1, :width]
    after = np.zeros(width, dtype=np.int64)
    seen = np.flatnonzero(final)
    after[seen[np.argsort(final[seen], kind="stable")]] = np.arange(1, len(seen) + 1)
    return Recency(ranks, in_prompt, by_previous), after
