"""The error of a published value.

A claim gives it as one of these, beside its ``source``:

- ``se``: a standard error; the interval is the value ± 1.96 standard errors.
- ``ci``: a 95 % interval.
- ``prompts``: the number of prompts behind the value, where the study gives no error of it. A standard deviation over
  pairs of prompts, or over folds, is none: pairs share prompts, and folds share what they learn from. The interval here
  is scaled to so many prompts: the verdict asks whether both values can come from one population, in which a prompt
  adds as much error there as here. For the mean of a similarity the ratio of the two standard deviations over pairs
  comes in. A published accuracy needs no scaling: its interval is that of a proportion.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import wilson_interval
from moexray.stats.inference.replication import Estimate

_NORMAL = 1.959963984540054


def published_estimate(
    value: float,
    error: Mapping[str, Any] | None,
    here: Estimate,
    *,
    prompts: int,
    categories: int,
    spread: float = 1.0,
) -> Estimate:
    """Return a published value with its interval.

    Parameters
    ----------
    value, error
        As the claim gives them.
    here
        The value here, whose interval is scaled if the claim says how many prompts the study had.
    prompts, categories
        Numbers here.
    spread
        The published standard deviation over that here.

    Raises
    ------
    NotComputable
        If the claim says nothing of the error.
    """
    if error is None:
        message = "the file of claims gives no error of the published value"
        raise NotComputable(message)
    if "ci" in error:
        low, high = error["ci"]
        return Estimate(value, (low, high))
    if "se" in error:
        half = _NORMAL * error["se"]
        return Estimate(value, (value - half, value + half))
    # The errors of means over pairs, and quantiles of few prompts, shrink a little faster than by the root of the
    # prompts: in simulations by as much as two prompts fewer in each category.
    freedom = error["prompts"] - 2 * categories
    if freedom < 1:
        message = (
            f"{error['prompts']} prompts of {categories} categories are too few for an error of the published value"
        )
        raise NotComputable(message)
    factor = spread * sqrt(prompts / freedom)
    below, above = (factor * abs(end - here.value) for end in here.ci)
    return Estimate(value, (value - below, value + above))


def published_accuracy(value: float, error: Mapping[str, Any] | None, here: Estimate) -> Estimate:
    """Return a published accuracy with its interval; of a number of prompts, with Wilson's.

    Raises
    ------
    NotComputable
        If the claim says nothing of the error.
    """
    if error is None or "prompts" not in error:
        return published_estimate(value, error, here, prompts=0, categories=0)
    low, high = wilson_interval(round(value * error["prompts"]), error["prompts"])
    return Estimate(value, (min(low, value), max(high, value)))
