"""Router saturation: the share of experts that two checkpoints select for the same token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import mean_interval
from moexray.stats.inference.labels import category_numbers

_SHARES = (0.0, 1.0)


@dataclass(frozen=True)
class Saturation:
    """The share of a token's experts that two routers have in common, by layer, and its 95 % interval over prompts."""

    by_layer: tuple[float, ...]
    intervals: tuple[tuple[float, float] | None, ...]


def router_saturation(
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    prompts: NDArray[np.integer],
    labels: Sequence[str],
) -> Saturation:
    """Compare the selections of two routers for the same tokens.

    Saturation is the share of a token's k experts that both routers select (section 5.1 of arXiv:2409.02060), averaged
    within prompts and then over prompts. Two random routers share k / number of experts on average.

    Parameters
    ----------
    first, second
        Experts of each token ``(tokens, layers, k)``; negative for no selection.
    prompts
        The number of the prompt of each token.
    labels
        The category of each prompt; every prompt has a token.

    Raises
    ------
    NotComputable
        If the tokens, layers or k are not the same.
    """
    if first.shape != second.shape:
        message = f"selections of shape {first.shape} cannot be compared with those of shape {second.shape}"
        raise NotComputable(message)
    numbers, sizes = category_numbers(labels), np.bincount(prompts, minlength=len(labels))
    means, intervals = [], []
    for one, other in zip(first.swapaxes(0, 1), second.swapaxes(0, 1), strict=True):
        common = ((one[:, :, None] == other[:, None, :]) & (one[:, :, None] >= 0)).sum(axis=(1, 2)) / one.shape[1]
        by_prompt = np.bincount(prompts, common, minlength=len(labels)) / sizes
        means.append(bounded(float(by_prompt.mean()), _SHARES))
        intervals.append(clipped(mean_interval(by_prompt, numbers), _SHARES))
    return Saturation(tuple(means), tuple(intervals))
