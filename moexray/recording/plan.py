"""Which prompts run together: a function of their lengths and a budget of tokens, so that a resumed run repeats it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import CaptureError


def plan_batches(lengths: NDArray[np.integer], new_tokens: int, batch_tokens: int) -> list[list[int]]:
    """Put prompts of like length together, the longest first, each batch within the budget.

    A batch costs its rows times its longest prompt with the tokens generated after it, padding included. The
    longest come first, so that what does not fit into memory shows at once.

    Parameters
    ----------
    lengths
        Tokens of each prompt ``(prompts,)``.
    new_tokens
        How many more each may generate.
    batch_tokens
        The most that a batch may cost. A prompt that costs more by itself runs alone.
    """
    batches: list[list[int]] = []
    longest = 0
    for prompt in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        if not batches or (len(batches[-1]) + 1) * (longest + new_tokens) > batch_tokens:
            batches.append([])
            longest = int(lengths[prompt])
        batches[-1].append(prompt)
    return batches


def halves(batches: Sequence[Sequence[int]]) -> list[list[int]]:
    """Split batches of which the first did not fit into memory; single prompts after it stay.

    Raises
    ------
    CaptureError
        If the first is one prompt.
    """
    if len(batches[0]) < 2:
        message = "not even one prompt at a time fits into memory: take a smaller --dtype, or shorter prompts"
        raise CaptureError(message)
    middles = [(len(batch) + 1) // 2 for batch in batches]
    parts = [part for batch, middle in zip(batches, middles, strict=True) for part in (batch[:middle], batch[middle:])]
    return [list(part) for part in parts if part]
