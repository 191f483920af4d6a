"""One cache that the experts of all layers share, where the least recently used expert of any layer goes first."""

import numpy as np
from numpy.typing import NDArray


def shared_lru_depths(
    experts: NDArray[np.integer], prompts: NDArray[np.integer], ranks: NDArray[np.integer], width: int
) -> NDArray[np.int64]:  # (tokens, layers, k)
    """Return the smallest capacity of a shared LRU cache at which each selection is a hit.

    The cache starts empty for every prompt and is asked layer by layer. Between two uses of an expert by a token a and
    a later token t, the experts of layers above it count that were used by a to t − 1, those of layers below it that
    were used by a + 1 to t, and those of its own layer that are more recent than it.

    Parameters
    ----------
    experts
        Experts of each token ``(tokens, layers, k)``; negative for no selection.
    prompts
        The prompt of each token ``(tokens,)``, whose tokens stand together.
    ranks
        How many experts of its own layer were used since each selected expert was ``(tokens, layers, k)``.
    width
        Experts of the widest layer.

    Returns
    -------
    Depths from one; ``layers * width + 1`` where the prompt had not used the expert before, or nothing was selected.
    """
    tokens, layers, k = experts.shape
    starts = np.flatnonzero(np.diff(prompts, prepend=-1))
    lengths = np.diff([*starts, tokens])
    order = np.argsort(-lengths, kind="stable")
    steps = int(lengths.max(initial=0))
    never = layers * width + 1
    found = np.full((tokens, layers, k), never, dtype=np.int64)
    # Of each prompt and layer, the token that used each expert last, from one; and experts by that token.
    last = np.zeros((len(order), layers, width), dtype=np.int64)
    by_last = np.zeros((len(order), layers, steps + 2), dtype=np.int32)
    since = np.zeros((len(order), layers + 1, steps + 3), dtype=np.int64)
    for step in range(steps):
        active = int(np.searchsorted(-lengths[order], -step, side="left"))
        rows = starts[order[:active]] + step
        chosen = experts[rows]
        lane, layer, slot = np.nonzero(chosen >= 0)
        expert = chosen[lane, layer, slot]
        used = last[lane, layer, expert]
        above = since[lane, layers, used] - since[lane, layer + 1, used]
        last[lane, layer, expert] = step + 1
        np.subtract.at(by_last, (lane, layer, used), 1)
        by_last[:active, :, step + 1] = (chosen >= 0).sum(axis=2)
        since[:active, 1:, : step + 2] = _used_since(by_last[:active, :, : step + 2])
        below = since[lane, layer, used + 1]
        depth = above + below + ranks[rows][lane, layer, slot] + 1
        found[rows[lane], layer, slot] = np.where(used > 0, depth, never)
    return found


def _used_since(by_last: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many experts of each layer and those below it were used last at each token or later."""
    later = np.cumsum(by_last[..., ::-1], axis=2)[..., ::-1]
    return np.cumsum(later, axis=1, dtype=np.int64)
