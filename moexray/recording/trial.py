"""The batches of a capture on which it is most likely to go wrong: those that a check tries before the capture runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# A check runs each prompt that it tries once more by itself.
_MOST_PROMPTS = 8


def trial_batches(
    batches: Sequence[Sequence[int]], lengths: NDArray[np.integer], with_images: NDArray[np.bool_] | None = None
) -> list[list[int]]:
    """Return the batch with the longest prompt, and the one whose prompts differ most in length.

    Of a batch at most eight prompts are tried, its longest and its shortest among them. Where none of these has images
    and another prompt has, the shortest such prompt is tried with them.

    Parameters
    ----------
    batches
        The prompts of each batch.
    lengths
        A length of each prompt ``(prompts,)``.
    with_images
        Which prompts have images ``(prompts,)``; by default none.
    """
    longest = max(range(len(batches)), key=lambda batch: max(lengths[batches[batch]]))
    widest = max(range(len(batches)), key=lambda batch: np.ptp(lengths[batches[batch]]))
    tried = [_some(batches[batch], lengths) for batch in dict.fromkeys([longest, widest])]
    pictured = [] if with_images is None else [one for batch in batches for one in batch if with_images[one]]
    if pictured and not any(one in pictured for batch in tried for one in batch):
        tried.append([min(pictured, key=lambda prompt: int(lengths[prompt]))])
    return tried


def _some(batch: Sequence[int], lengths: NDArray[np.integer]) -> list[int]:
    by_length = sorted(batch, key=lambda prompt: -int(lengths[prompt]))
    places = np.linspace(0, len(batch) - 1, min(len(batch), _MOST_PROMPTS)).round().astype(int)
    return [by_length[place] for place in places]
