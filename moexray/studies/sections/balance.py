"""Similarity under routers that only balance their load."""

from dataclasses import dataclass

from moexray.stats.categories.balance import Baseline


@dataclass(frozen=True)
class Balance:
    """Two nulls of load balancing.

    Attributes
    ----------
    uniform
        Every token picks its experts uniformly.
    load_matched
        Every expert has the load that it has here; which prompts selected it is random.
    """

    uniform: Baseline
    load_matched: Baseline
