"""Router saturation: the share of experts that two checkpoints select for the same token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import mean_interval
from moexray.stats.inference.units import units_of

_SHARES = (0.0, 1.0)


@dataclass(frozen=True)
class Saturation:
    """The share of a token's experts that two routers have in common, by layer, and its 95 % interval over units."""

    by_layer: tuple[float, ...]
    intervals: tuple[tuple[float, float] | None, ...]


def router_saturation(
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    prompts: NDArray[np.integer],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
) -> Saturation:
    """Compare the selections of two routers for the same tokens.

    Saturation is the share of a token's k experts that both routers select (section 5.1 of arXiv:2409.02060), averaged
    within prompts and then over prompts. Two random routers share k / number of experts on average. Where the numbers
    of selections differ from each other, because layers have different k or some selections are dropped, the share is
    the number in common over the geometric mean of the two numbers. A token for which neither router selects an expert
    is left out of that layer, and so is a prompt without another.

    Parameters
    ----------
    first, second
        Experts of each token ``(tokens, layers, k)``, which may be of different k; negative for no selection.
    prompts
        The number of the prompt of each token.
    labels
        The category of each prompt; every prompt has a token.
    groups
        The group of each prompt; an empty name is no group.

    Raises
    ------
    NotComputable
        If the tokens or layers are not the same, or a layer has no selection.
    """
    if first.shape[:2] != second.shape[:2]:
        message = f"selections of shape {first.shape} cannot be compared with those of shape {second.shape}"
        raise NotComputable(message)
    units = units_of(labels, groups)
    means, intervals = [], []
    for one, other in zip(first.swapaxes(0, 1), second.swapaxes(0, 1), strict=True):
        shares = shares_in_common(one, other)
        there = ~np.isnan(shares)
        if not there.any():
            message = "neither router selects an expert in one of the layers"
            raise NotComputable(message)
        sizes = np.bincount(prompts[there], minlength=len(labels))
        held = np.flatnonzero(sizes)
        by_prompt = np.bincount(prompts[there], shares[there], minlength=len(labels))[held] / sizes[held]
        means.append(bounded(float(by_prompt.mean()), _SHARES))
        some = units.take(held)
        intervals.append(clipped(mean_interval(by_prompt, some.categories, units=some), _SHARES))
    return Saturation(tuple(means), tuple(intervals))


def shares_in_common(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.float64]:  # (tokens,)
    """Return the number of experts in common over the geometric mean of both numbers; NaN where both are 0.

    Parameters
    ----------
    one, other
        Distinct experts of each token ``(tokens, k)``; negative for no selection.
    """
    common = ((one[:, :, None] == other[:, None, :]) & (one[:, :, None] >= 0)).sum(axis=(1, 2))
    made = [np.count_nonzero(each >= 0, axis=1) for each in (one, other)]
    # An integer under the root: for equal numbers it is exact, and equal selections share exactly 1.
    shares = common / np.sqrt(np.maximum(made[0] * made[1], 1))
    return np.where(made[0] + made[1] > 0, shares, np.nan)
